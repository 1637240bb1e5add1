package detect

import (
	"bytes"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw/internal/snapshot"
)

// passing is the tag of members that are no part of the state.
func passing(f reflect.StructField) bool { return f.Tag.Get("state") == "-" }

// DiffStates compares all that two engines hold, but for what is tagged.
func DiffStates(a, b *Engine) string {
	return gocmp.Diff(a, b,
		gocmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty(),
		gocmp.FilterPath(func(p gocmp.Path) bool {
			f, ok := p.Last().(gocmp.StructField)
			if !ok {
				return false
			}
			t := p.Index(-2).Type()
			if t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
			field, _ := t.FieldByName(f.Name())
			return passing(field)
		}, gocmp.Ignore()),
		gocmp.FilterValues(func(a, b []uint64) bool { return len(a)+len(b) > 0 }, gocmp.Comparer(slices.Equal[[]uint64])),
		// What has no members that are tagged is compared as a whole: member by member takes most of the time.
		whole[hourly](), whole[tried](), whole[entry](), whole[spreadDay](), whole[flowDay](), whole[partyDay](), whole[[ownBits / 64]uint64](),
		whole[[len(stratum{}.rates)]int32](),
		// Where their entries lie hangs on how they were filled, which no answer does.
		gocmp.Transformer("table", func(s slots) (out map[uint64]*unit) {
			out = map[uint64]*unit{}
			for _, x := range s.list {
				if x.id != 0 {
					out[x.id] = x.u
				}
			}
			return out
		}),
		gocmp.Transformer("sample", func(s sample) map[uint64]tried {
			out := map[uint64]tried{}
			for _, t := range s.list {
				if t.id != 0 {
					out[t.id] = t
				}
			}
			return out
		}),
		gocmp.Transformer("idset", func(s idset) map[uint64]uint64 {
			out := map[uint64]uint64{}
			all := []idblock{s.one}
			if s.more != nil {
				all = append(all, s.more.slots...)
			}
			for _, b := range all {
				if b.block != 0 {
					out[b.block] = b.word
				}
			}
			return out
		}),
	)
}

func whole[T comparable]() gocmp.Option {
	return gocmp.Comparer(func(a, b T) bool { return a == b })
}

// SaveState gives the bytes of an engine's state.
func SaveState(t testing.TB, e *Engine) []byte {
	t.Helper()
	var b bytes.Buffer
	c := snapshot.Writer(&b)
	e.State(c)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// LoadState reads them into an engine.
func LoadState(e *Engine, b []byte) error {
	c := snapshot.Reader(bytes.NewReader(b))
	e.State(c)
	return c.Err()
}

// Met collects the members of the package's types that held something.
type Met map[string]bool

// Look goes through an engine and notes which members hold something. What it never meets is in no test of the state.
func (m Met) Look(e *Engine) { m.look(reflect.ValueOf(e), map[any]bool{}) }

// Missing lists the members that held nothing.
func (m Met) Missing() (out []string) {
	for name, met := range m {
		if !met {
			out = append(out, name)
		}
	}
	return out
}

func (m Met) look(v reflect.Value, been map[any]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || been[v.Pointer()] {
			return
		}
		been[v.Pointer()] = true
		m.look(v.Elem(), been)
	case reflect.Interface:
		return
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Pointer || k == reflect.Slice || k == reflect.Array || k == reflect.Map {
			for i := range v.Len() {
				m.look(v.Index(i), been)
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			m.look(it.Key(), been)
			m.look(it.Value(), been)
		}
	case reflect.Struct:
		t := v.Type()
		if p := t.PkgPath(); !strings.HasSuffix(p, "/detect") && !strings.HasSuffix(p, "/reference") {
			return
		}
		for i := range t.NumField() {
			f := t.Field(i)
			if passing(f) {
				continue
			}
			name := t.Name() + "." + f.Name
			m[name] = m[name] || !v.Field(i).IsZero()
			m.look(v.Field(i), been)
		}
	}
}

// Held counts the entries of each of the engine's maps and lists: what a merge leaves out is found by it.
func Held(e *Engine) map[string]int {
	out := map[string]int{}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if k := f.Type.Kind(); !passing(f) && (k == reflect.Map || k == reflect.Slice) {
			out[f.Name] = v.Field(i).Len()
		}
	}
	return out
}

// TestUnitLayout: what every access of a unit touches is one cache line, and units begin at one.
func TestUnitLayout(t *testing.T) {
	if at := unsafe.Offsetof(unit{}.ex); at != 64 {
		t.Errorf("the members before ex take %d bytes, not 64", at)
	}
	if size := unsafe.Sizeof(unit{}); size > 256 {
		t.Errorf("a unit takes %d bytes: the next size class above 256 does not begin at cache lines", size)
	}
}

// Heights gives the statistics of all units above zero, by unit and detector.
func Heights(e *Engine) map[[2]uint64][maxBank]float64 {
	out := map[[2]uint64][maxBank]float64{}
	for _, u := range e.table.list {
		for d, x := range u.ex {
			if x != nil {
				out[[2]uint64{u.id, uint64(d)}] = x.s
			}
		}
	}
	return out
}

// Tallies gives what is a set or a count, and does not hang on the order of the records: of each unit, and of each baseline of nonexistent.
func Tallies(e *Engine) map[string]any {
	units := map[uint64][4]int64{}
	for _, u := range e.table.list {
		numbers := int64(0)
		for b := range u.ids.all() {
			numbers += int64(bits.OnesCount64(b.word))
		}
		units[u.id] = [4]int64{u.total, u.first, int64(u.day), numbers}
	}
	rates := map[[2]uint64][3]uint64{}
	medians := map[uint64]int32{}
	for _, s := range e.strataList {
		if s.d != nonexistent {
			continue
		}
		medians[s.id] = s.enough
		for _, t := range s.networks.list {
			if t.id != 0 {
				class := uint64(t.class)
				if t.class != noClass && t.class != otherClass {
					class = s.nets[t.class-1].id
				}
				rates[[2]uint64{s.id, t.id}] = [3]uint64{uint64(t.n), uint64(t.hits), class}
			}
		}
	}
	met := map[historyKey]bool{}
	for i := range e.history.shards {
		for _, slot := range e.history.shards[i].slots {
			if slot != 0 {
				met[historyKey{uint8(i), slot >> 16}] = true
			}
		}
	}
	return map[string]any{"units": units, "rates": rates, "medians": medians, "history": met}
}
