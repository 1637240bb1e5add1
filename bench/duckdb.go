package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

// The peer's table: a number for everything, "issued" known beforehand.
const duckTable = `CREATE TABLE accesses (ts BIGINT, customer UINTEGER, principal UBIGINT, token UBIGINT, ip UINTEGER, asn USMALLINT,
	country UTINYINT, agent USMALLINT, route UTINYINT, status USMALLINT, fields USMALLINT, "key" UTINYINT, issued BOOLEAN)`

const (
	duckFile    = "duck.db"
	parquetFile = "accesses.parquet"
)

// source gives DuckDB the accesses as a table that it reads on all its threads.
type source struct {
	shop  *shop
	next  atomic.Int64
	types []duckdb.ColumnInfo
}

func newSource(s *shop) (*source, error) {
	out := &source{shop: s}
	for _, c := range []struct {
		name string
		of   duckdb.Type
	}{
		{"ts", duckdb.TYPE_BIGINT}, {"customer", duckdb.TYPE_UINTEGER}, {"principal", duckdb.TYPE_UBIGINT}, {"token", duckdb.TYPE_UBIGINT},
		{"ip", duckdb.TYPE_UINTEGER}, {"asn", duckdb.TYPE_USMALLINT}, {"country", duckdb.TYPE_UTINYINT}, {"agent", duckdb.TYPE_USMALLINT},
		{"route", duckdb.TYPE_UTINYINT}, {"status", duckdb.TYPE_USMALLINT}, {"fields", duckdb.TYPE_USMALLINT}, {"key", duckdb.TYPE_UTINYINT},
		{"issued", duckdb.TYPE_BOOLEAN},
	} {
		info, err := duckdb.NewTypeInfo(c.of)
		if err != nil {
			return nil, fmt.Errorf("describe column %s: %w", c.name, err)
		}
		out.types = append(out.types, duckdb.ColumnInfo{Name: c.name, T: info})
	}
	return out, nil
}

func (t *source) ColumnInfos() []duckdb.ColumnInfo { return t.types }
func (t *source) Cardinality() *duckdb.CardinalityInfo {
	return &duckdb.CardinalityInfo{Cardinality: uint(t.shop.n), Exact: true}
}
func (t *source) Init() duckdb.ParallelTableSourceInfo { return duckdb.ParallelTableSourceInfo{} }

// reach is a stretch of accesses that one thread gives, as long as a row group of DuckDB's.
type reach struct{ next, end int64 }

func (t *source) NewLocalState() any { return &reach{} }

func (t *source) FillChunk(local any, chunk duckdb.DataChunk) error {
	r := local.(*reach)
	if r.next == r.end {
		const group = 122_880
		r.next = min(t.next.Add(group)-group, t.shop.n)
		r.end = min(r.next+group, t.shop.n)
	}
	n := int(min(r.end-r.next, int64(duckdb.GetDataChunkCapacity())))
	var a access
	var err error
	for row := range n {
		t.shop.at(r.next+int64(row), &a)
		err = errors.Join(err,
			duckdb.SetChunkValue(chunk, 0, row, a.ts), duckdb.SetChunkValue(chunk, 1, row, a.customer),
			duckdb.SetChunkValue(chunk, 2, row, a.principal), duckdb.SetChunkValue(chunk, 3, row, a.token),
			duckdb.SetChunkValue(chunk, 4, row, a.ip), duckdb.SetChunkValue(chunk, 5, row, a.asn),
			duckdb.SetChunkValue(chunk, 6, row, a.country), duckdb.SetChunkValue(chunk, 7, row, a.agent),
			duckdb.SetChunkValue(chunk, 8, row, a.route), duckdb.SetChunkValue(chunk, 9, row, a.status),
			duckdb.SetChunkValue(chunk, 10, row, a.fields), duckdb.SetChunkValue(chunk, 11, row, a.key),
			duckdb.SetChunkValue(chunk, 12, row, a.issued))
	}
	r.next += int64(n)
	return errors.Join(err, chunk.SetSize(n))
}

// loadDuck fills the table, and writes it as Parquet too.
func loadDuck(ctx context.Context, s *shop, dir string) (table, parquet loaded, err error) {
	db, conn, err := openDuckFile(ctx, filepath.Join(dir, duckFile))
	if err != nil {
		return table, parquet, err
	}
	defer func() { err = errors.Join(err, conn.Close(), db.Close()) }()
	src, err := newSource(s)
	if err != nil {
		return table, parquet, err
	}
	err = duckdb.RegisterTableUDF(conn, "shop", duckdb.ParallelChunkTableFunction{
		BindArguments: func(map[string]any, ...any) (duckdb.ParallelChunkTableSource, error) { return src, nil },
	})
	if err != nil {
		return table, parquet, fmt.Errorf("register table function: %w", err)
	}
	began := time.Now()
	if err := duckRun(ctx, conn, "SET preserve_insertion_order = false", duckTable, "INSERT INTO accesses SELECT * FROM shop()", "CHECKPOINT"); err != nil {
		return table, parquet, err
	}
	table = loaded{Accesses: s.n, Records: s.n, Seconds: time.Since(began).Seconds()}
	table.Busy = table.Seconds
	if table.Bytes, err = sizeOf(filepath.Join(dir, duckFile)); err != nil {
		return table, parquet, err
	}
	began = time.Now()
	name := filepath.Join(dir, parquetFile)
	if err := duckRun(ctx, conn, "COPY accesses TO '"+name+"' (FORMAT parquet, COMPRESSION zstd)"); err != nil {
		return table, parquet, err
	}
	parquet = loaded{Accesses: s.n, Records: s.n, Seconds: time.Since(began).Seconds()}
	parquet.Busy = parquet.Seconds
	parquet.Bytes, err = sizeOf(name)
	return table, parquet, err
}

func openDuckFile(ctx context.Context, name string) (*sql.DB, *sql.Conn, error) {
	db, err := sql.Open("duckdb", name)
	if err != nil {
		return nil, nil, fmt.Errorf("open DuckDB: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("connect to DuckDB: %w", err), db.Close())
	}
	return db, conn, nil
}

func duckRun(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("DuckDB: %.60s: %w", s, err)
		}
	}
	return nil
}

// duckEngine asks the table or the Parquet file.
type duckEngine struct {
	dir  string
	db   *sql.DB
	conn *sql.Conn
	text *text
}

func openDuck(ctx context.Context, dir string, parquet bool) (*duckEngine, error) {
	name, view := filepath.Join(dir, duckFile)+"?access_mode=read_only", ""
	if parquet {
		name, view = "", "CREATE VIEW accesses AS SELECT * FROM read_parquet('"+filepath.Join(dir, parquetFile)+"')"
	}
	db, conn, err := openDuckFile(ctx, name)
	if err != nil {
		return nil, err
	}
	e := &duckEngine{dir: dir, db: db, conn: conn, text: newText()}
	if view != "" {
		if err := duckRun(ctx, conn, view); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

func (e *duckEngine) Close() error { return errors.Join(e.conn.Close(), e.db.Close()) }

// where gives the filter as SQL. Addresses are joined from a temporary table, made before the time is taken.
func (e *duckEngine) where(ctx context.Context, a *asked) (string, error) {
	all := []string{"true"}
	and := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if len(a.Keys) > 0 {
		and(`"key" IN (%s)`, numbers(a.Keys))
	}
	if len(a.Addrs) > 0 {
		if err := duckRun(ctx, e.conn, "CREATE OR REPLACE TEMP TABLE asked_addrs AS SELECT unnest(["+numbers(a.Addrs)+"])::UINTEGER AS ip"); err != nil {
			return "", err
		}
		and("ip IN (SELECT ip FROM asked_addrs)")
	}
	if a.From != 0 {
		and("ts >= %d AND ts < %d", a.From, a.To)
	}
	if a.Abroad {
		and("country <> 0")
	}
	if len(a.Agents) > 0 {
		and("agent IN (%s)", numbers(a.Agents))
	}
	if a.Unissued {
		and("NOT issued")
	}
	return strings.Join(all, " AND "), nil
}

func numbers[T int | uint32 | uint16](list []T) string {
	var b strings.Builder
	for i, n := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(int64(n), 10))
	}
	return b.String()
}

func (e *duckEngine) ask(ctx context.Context, a *asked) (answer, cost, error) {
	where, err := e.where(ctx, a)
	if err != nil {
		return answer{}, cost{}, err
	}
	switch a.Question {
	case "q3":
		return e.list(ctx, where)
	case "q4":
		return e.customer(ctx, a.Customer)
	case "q5-ip", "q5-principal", "q5-credential", "q5-off":
		return e.top(ctx, a, where)
	}
	counts := make([]any, 0, 12)
	var out answer
	counts = append(counts, &out.Disclosures, &out.Subjects)
	query := "SELECT coalesce(sum(n), 0)::BIGINT, count(*)"
	found := make([]int64, len(fieldNames))
	for bit := range fieldNames {
		query += fmt.Sprintf(", count(*) FILTER (f & %d <> 0)", 1<<bit)
		counts = append(counts, &found[bit])
	}
	query += " FROM (SELECT customer, count(*) AS n, bit_or(fields) AS f FROM accesses WHERE fields <> 0 AND " + where + " GROUP BY customer)"
	began := startWatch()
	if err := e.conn.QueryRowContext(ctx, query).Scan(counts...); err != nil {
		return out, cost{}, fmt.Errorf("DuckDB: count: %w", err)
	}
	took := began.stop()
	out.Fields = make(map[string]int64)
	for bit, n := range found {
		if n > 0 {
			out.Fields[fieldNames[bit]] = n
		}
	}
	// What whosaw's answer has beside that; not timed.
	query = "SELECT count(*), coalesce(min(ts) FILTER (fields <> 0), 0), coalesce(max(ts) FILTER (fields <> 0), 0) FROM accesses WHERE " + where
	if err := e.conn.QueryRowContext(ctx, query).Scan(&out.Accesses, &out.First, &out.Last); err != nil {
		return out, cost{}, fmt.Errorf("DuckDB: count accesses: %w", err)
	}
	return out, took, nil
}

func (e *duckEngine) list(ctx context.Context, where string) (answer, cost, error) {
	name := filepath.Join(e.dir, "peer.csv")
	if err := removed(name); err != nil {
		return answer{}, cost{}, err
	}
	began := startWatch()
	err := duckRun(ctx, e.conn, "COPY (SELECT customer, min(ts), max(ts), count(*), bit_or(fields) FROM accesses WHERE fields <> 0 AND "+where+
		" GROUP BY customer ORDER BY customer) TO '"+name+"' (FORMAT csv, HEADER false)")
	took := began.stop()
	if err != nil {
		return answer{}, cost{}, err
	}
	file, err := os.Open(name)
	if err != nil {
		return answer{}, cost{}, fmt.Errorf("read list: %w", err)
	}
	defer file.Close()
	h, out := sha256.New(), answer{}
	b := make([]byte, 1<<20)
	for {
		n, err := file.Read(b)
		h.Write(b[:n])
		for _, c := range b[:n] {
			if c == '\n' {
				out.Rows++
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return answer{}, cost{}, fmt.Errorf("read list: %w", err)
		}
	}
	out.Hash = hex.EncodeToString(h.Sum(nil))
	return out, took, nil
}

func (e *duckEngine) customer(ctx context.Context, customer uint32) (answer, cost, error) {
	began := startWatch()
	rows, err := e.conn.QueryContext(ctx, `SELECT ts, principal, token, ip, asn, country, agent, route, status, fields, "key" FROM accesses
		WHERE customer = ? ORDER BY ts DESC`, customer)
	if err != nil {
		return answer{}, cost{}, fmt.Errorf("DuckDB: customer: %w", err)
	}
	defer rows.Close()
	var all []access
	for rows.Next() {
		var a access
		if err := rows.Scan(&a.ts, &a.principal, &a.token, &a.ip, &a.asn, &a.country, &a.agent, &a.route, &a.status, &a.fields, &a.key); err != nil {
			return answer{}, cost{}, fmt.Errorf("DuckDB: customer: %w", err)
		}
		all = append(all, a)
	}
	took := began.stop()
	if err := rows.Err(); err != nil {
		return answer{}, cost{}, fmt.Errorf("DuckDB: customer: %w", err)
	}
	b := newBatch(e.text)
	for i := range all {
		all[i].customer = customer
		if len(b.records) == batchSize {
			break
		}
		b.access(0, &all[i])
	}
	return hashRecords(b.records), took, nil
}

// top is in the form that is fastest here: the pairs first, then their count.
func (e *duckEngine) top(ctx context.Context, a *asked, where string) (answer, cost, error) {
	column := map[string]string{"ip": "ip", "principal": "principal", "credential": "token"}[a.By]
	query := fmt.Sprintf(`SELECT day, v, count(*) AS n FROM (SELECT DISTINCT (ts // %d)::INTEGER AS day, %s AS v, customer FROM accesses
		WHERE fields <> 0 AND %s) GROUP BY day, v ORDER BY n DESC, day, v LIMIT 20`, dayMS, column, where)
	var out answer
	began := startWatch()
	rows, err := e.conn.QueryContext(ctx, query)
	if err != nil {
		return out, cost{}, fmt.Errorf("DuckDB: top: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var day, n int64
		var v uint64
		if err := rows.Scan(&day, &v, &n); err != nil {
			return out, cost{}, fmt.Errorf("DuckDB: top: %w", err)
		}
		out.Top = append(out.Top, topRow{time.UnixMilli(day * dayMS).UTC().Format(time.DateOnly), valueOf(a.By, v), n})
	}
	return out, began.stop(), rows.Err()
}

// valueOf gives a number of the peer's as whosaw names it.
func valueOf(by string, v uint64) string {
	switch by {
	case "ip":
		return addr(uint32(v)).String()
	case "principal":
		return kindNames[v>>32] + strconv.FormatUint(v&(1<<32-1), 10)
	}
	return string(appendToken(nil, v))
}
