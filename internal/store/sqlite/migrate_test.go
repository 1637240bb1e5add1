package sqlite

import (
	"path/filepath"
	"testing"
	"testing/fstest"
)

func file(sql string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql + "\n")}
}

// Owners count in ranges of their own, so a lower number may come later.
func TestMigrationsComeInAnyOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	old := fstest.MapFS{"00001_a.sql": file("CREATE TABLE a (x INTEGER);"), "00020_c.sql": file("CREATE TABLE c (x INTEGER);")}
	db, err := open(t.Context(), path, old)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	old["00010_b.sql"] = file("CREATE TABLE b (x INTEGER);")
	if db, err = open(t.Context(), path, old); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"a", "b", "c"} {
		if _, err := db.Read().ExecContext(t.Context(), "SELECT * FROM "+table); err != nil {
			t.Error(err)
		}
	}
}

func TestAFailedMigrationLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	steps := fstest.MapFS{"00001_a.sql": file("CREATE TABLE a (x INTEGER);\nCREATE TABLE a (x INTEGER);")}
	if db, err := open(t.Context(), path, steps); err == nil {
		db.Close()
		t.Fatal("opened")
	}
	steps["00001_a.sql"] = file("CREATE TABLE a (x INTEGER);")
	db, err := open(t.Context(), path, steps)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
