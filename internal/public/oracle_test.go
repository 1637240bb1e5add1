package public_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/public"
)

// person is a customer as a fisher knows him.
type person struct {
	id, email string
	affected  bool // what the fisher wants to know
}

// fisher knows every customer's id and e-mail address, how many are affected, all of the look-up's answers, and how it is made; only the
// key and other people's secrets he does not have.
type fisher struct {
	buckets [][]byte // as they were answered
	shape   shape
	near    []map[uint16]int // by bucket: how many entries begin with two bytes
	whole   map[[8]byte]bool // all tags there are
}

func newFisher(s shape, buckets [][]byte) *fisher {
	f := &fisher{buckets: buckets, shape: s, whole: map[[8]byte]bool{}}
	for _, b := range buckets {
		near := map[uint16]int{}
		for i := 0; i < len(b); i += 16 {
			near[binary.BigEndian.Uint16(b[i:])]++
			f.whole[[8]byte(b[i:])] = true
		}
		f.near = append(f.near, near)
	}
	return f
}

// guesses are ways in which somebody might think that a customer's entry is made.
func (f *fisher) guesses(p *person) map[string][]byte {
	salt, _ := hex.DecodeString(f.shape.salt)
	key, _ := hex.DecodeString(f.shape.key)
	out := map[string][]byte{}
	mac := func(k []byte, parts ...string) []byte {
		m := hmac.New(sha256.New, k)
		m.Write([]byte(strings.Join(parts, "")))
		return m.Sum(nil)
	}
	number := binary.BigEndian.AppendUint64(nil, 1)
	none := binary.BigEndian.AppendUint64(nil, 0)
	for what, name := range map[string]string{"id": p.id, "e-mail": p.email, "subject": "customer:" + p.id, "json": `{"subject":"` + p.id + `"}`} {
		s, sm := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(string(salt)+name))
		s1, m5 := sha1.Sum([]byte(name)), md5.Sum([]byte(name))
		out[what+" sha256"], out[what+" salted"], out[what+" sha1"], out[what+" md5"] = s[:], sm[:], append(s1[:], s1[:]...), append(m5[:], m5[:]...)
		out[what+" mac by salt"], out[what+" mac by key id"], out[what+" mac of salt"] = mac(salt, name), mac(key, name), mac([]byte(name), string(salt))
		// The product's own way, with what could stand in for the key that is not known.
		for with, k := range map[string][]byte{"no key": make([]byte, 32), "key id": append(slices.Clone(key), make([]byte, 24)...), "salt": append(slices.Clone(salt), salt...)} {
			secret := mac(k, "whosaw look-up secret\x00", string(number), string(none), name)
			bucket, tag := public.Trace(secret[:16], f.shape.salt, uint(f.shape.bits))
			out[what+" secret by "+with] = append(binary.BigEndian.AppendUint32(nil, bucket<<(32-f.shape.bits)), tag[:]...)
		}
		plain := sha256.Sum256([]byte(name))
		bucket, tag := public.Trace(plain[:16], f.shape.salt, uint(f.shape.bits))
		out[what+" as secret"] = append(binary.BigEndian.AppendUint32(nil, bucket<<(32-f.shape.bits)), tag[:]...)
	}
	return out
}

// features are what the fisher can work out of a guess: whether it is there, and how much that is like it is.
func (f *fisher) features(name string, guess []byte, out map[string]float64) {
	bucket := 0
	if f.shape.bits > 0 {
		bucket = int(binary.BigEndian.Uint32(guess) >> (32 - f.shape.bits))
	}
	tag := [8]byte(guess[4:])
	truth := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	out[name+": there"] = truth(f.whole[tag] || f.whole[[8]byte(guess)])
	out[name+": like it"] = float64(f.near[bucket][binary.BigEndian.Uint16(tag[:])])
	first := binary.BigEndian.Uint64(f.buckets[bucket])
	out[name+": before the first"] = truth(binary.BigEndian.Uint64(tag[:]) < first)
	out[name+": sum"] = float64(f.buckets[bucket][int(tag[0])] ^ tag[1])
}

// tell gives, for each feature, how far it tells affected and others apart, in standard deviations of chance.
func (f *fisher) tell(people []person) map[string]float64 {
	sums := map[string]*[2][3]float64{} // count, sum, squares
	for i := range people {
		p := &people[i]
		features := map[string]float64{}
		for name, guess := range f.guesses(p) {
			f.features(name, guess, features)
		}
		side := 0
		if p.affected {
			side = 1
		}
		for name, v := range features {
			s := sums[name]
			if s == nil {
				s = new([2][3]float64)
				sums[name] = s
			}
			s[side][0]++
			s[side][1] += v
			s[side][2] += v * v
		}
	}
	out := map[string]float64{}
	for name, s := range sums {
		var mean, variance [2]float64
		for i := range s {
			mean[i] = s[i][1] / s[i][0]
			variance[i] = s[i][2]/s[i][0] - mean[i]*mean[i]
		}
		switch d, e := mean[1]-mean[0], math.Sqrt(variance[0]/s[0][0]+variance[1]/s[1][0]); {
		case d == 0:
			out[name] = 0
		case e == 0:
			out[name] = math.Inf(1)
		default:
			out[name] = math.Abs(d) / e
		}
	}
	return out
}

// chance is how far apart two things may be by chance alone: six standard deviations, two in a thousand million, for each of some hundred
// features.
const chance = 6

func crowd(n int) []person {
	people := make([]person, n)
	for i := range people {
		id := fmt.Sprint(10_000_000 + i)
		people[i] = person{id, "c" + id + "@mail.example", i%2 == 1 || i < n/20}
	}
	return people
}

func fieldsOf(id int) []string {
	switch {
	case id%100 == 1:
		return []string{"address", "door_code", "name", "phone"}
	case id%2 == 0:
		return []string{"name"}
	}
	return []string{"email", "name"}
}

func (h *house) showCrowd(people []person) int {
	var ids []int
	for i := range people {
		if people[i].affected {
			ids = append(ids, 10_000_000+i)
		}
	}
	h.show(fieldsOf, ids...)
	return len(ids)
}

// TestTheLookUpIsNoOracle: the fisher fetches everything there is and knows everybody, and learns nothing of anybody. The same fisher finds
// everybody in a look-up as password checkers have it, so it is not that he is too stupid.
func TestTheLookUpIsNoOracle(t *testing.T) {
	h := newHouse(t)
	people := crowd(12_000)
	n := h.open()
	affected := h.showCrowd(people)
	if v := h.count(n); v.Answer.Subjects != int64(affected) {
		t.Fatalf("the scope has %d, want %d", v.Answer.Subjects, affected)
	}
	h.offer(n)
	s := h.shape(n)
	if s.bits != int(public.BitsFor(int64(affected))) || s.bits < 2 {
		t.Fatalf("%d people in 2^%d buckets", affected, s.bits)
	}
	var buckets [][]byte
	for i := range 1 << s.bits {
		a := h.get(s.path(n, i))
		if a.status != 200 || len(a.body) != public.BucketLen || a.header.Get("Content-Encoding") != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("bucket %d: status %d, %d bytes", i, a.status, len(a.body))
		}
		buckets = append(buckets, []byte(a.body))
	}
	features := newFisher(s, buckets).tell(people)
	if len(features) < 100 {
		t.Fatalf("the fisher looks at %d features only", len(features))
	}
	for name, z := range features {
		if z > chance {
			t.Errorf("%s tells affected from others: %.1f standard deviations", name, z)
		}
	}
	uniform(t, buckets)

	// The control: SHA-256 of the id, by its first bits.
	naive := make([][]byte, 1<<s.bits)
	for i := range people {
		if people[i].affected {
			sum := sha256.Sum256([]byte(people[i].id))
			b := binary.BigEndian.Uint32(sum[:]) >> (32 - s.bits)
			naive[b] = append(naive[b], append(sum[4:12:12], sum[12:20]...)...)
		}
	}
	if z := newFisher(s, naive).tell(people)["id sha256: there"]; !math.IsInf(z, 1) && z < 1000 {
		t.Errorf("the fisher does not even see through hashes of ids: %.1f", z)
	}
}

// uniform holds the bytes of all entries against noise: a decoy that could be told from a person, or an order that they came in, would
// show.
func uniform(t *testing.T, buckets [][]byte) {
	t.Helper()
	var counts [16][256]float64
	total := 0.0
	for _, b := range buckets {
		for i := 0; i < len(b); i += 16 {
			total++
			for j := range 16 {
				counts[j][b[i+j]]++
			}
			if i > 0 && string(b[i-16:i]) >= string(b[i:i+16]) {
				t.Fatal("the entries are not in order")
			}
		}
	}
	for j := range counts {
		chi := 0.0
		for _, n := range counts[j] {
			chi += (n - total/256) * (n - total/256) / (total / 256)
		}
		if z := (chi - 255) / math.Sqrt(2*255); math.Abs(z) > chance {
			t.Errorf("byte %d of the entries is no noise: %.1f standard deviations", j, z)
		}
	}
}

// TestBuildsCannotBeJoined: who keeps the buckets of two scope versions finds no entry again, and so cannot tell people from decoys, nor
// who came.
func TestBuildsCannotBeJoined(t *testing.T) {
	h := newHouse(t)
	people := crowd(6000)
	n := h.open()
	h.showCrowd(people)
	h.count(n)
	h.offer(n)
	seen := map[string]bool{}
	var salts []string
	for version := range 2 {
		s := h.shape(n)
		salts = append(salts, s.salt)
		for i := range 1 << s.bits {
			a := h.get(s.path(n, i))
			for j := 0; j < len(a.body); j += 16 {
				if tag := a.body[j : j+8]; seen[tag] {
					t.Fatal("an entry of the first build stands in the second")
				} else if version == 0 {
					seen[tag] = true
				}
			}
		}
		if version == 0 {
			h.show(fieldsOf, 9_999_999)
			h.count(n)
			check(t, h.lookups.Sync(t.Context()))
		}
	}
	if salts[0] == salts[1] || len(seen) == 0 {
		t.Error("there was one build only")
	}
	if a := h.get(fmt.Sprintf("/affected/%d/%s/0", n, salts[0])); a.status != 410 {
		t.Errorf("the first build answers %d", a.status)
	}
	if found, _, err := h.lookups.Match(n, h.lookups.SecretOf(n, "", "9999999")); err != nil || !found {
		t.Errorf("who came with the second version: %v, %v", found, err)
	}
}

// TestAnswersAreAlike: neither their length nor their time says what they are. Times are compared by rank, in turns, so that what else
// runs on the machine meets both alike.
func TestAnswersAreAlike(t *testing.T) {
	h := newHouse(t)
	people := crowd(8000)
	n := h.open()
	h.showCrowd(people)
	h.count(n)
	h.offer(n)
	s := h.shape(n)
	lengths := map[int]bool{}
	type timed struct {
		took     time.Duration
		affected bool
	}
	var times []timed
	var told []string // what must not be in the log
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 400 {
		p := &people[len(people)/20+2*r.IntN(3000)+i%2]
		text, link, ok := h.lookups.Secret("token:shop", n, "", p.id, "https://notice.example/")
		if !ok || len(text) != 39 || link != fmt.Sprintf("https://notice.example/affected/%d#%s", n, text) {
			t.Fatalf("a secret of %d characters in %q", len(text), link)
		}
		told = append(told, text, p.id)
		secret, err := public.ParseSecret(n, keyID(t, s), text)
		check(t, err)
		found, _, err := h.lookups.Match(n, secret)
		check(t, err)
		if found != p.affected {
			t.Fatalf("customer %s is found: %v", p.id, found)
		}
		began := time.Now()
		a := h.get(s.path(n, i%(1<<s.bits)))
		times = append(times, timed{time.Since(began), p.affected})
		if len(a.body) != public.BucketLen {
			t.Fatalf("a bucket of %d bytes", len(a.body))
		}
		if i < 60 {
			a := h.post(fmt.Sprintf("/affected/%d", n), url.Values{"secret": {text}})
			if want := map[bool]string{true: "Yes, your data", false: "You are not in the list"}[p.affected]; a.status != 200 || !strings.Contains(strings.Split(a.body, "<template")[0], want) {
				t.Fatalf("the form answers %d", a.status)
			}
			lengths[len(a.body)] = true
		}
	}
	slip := h.post(fmt.Sprintf("/affected/%d", n), url.Values{"secret": {"AAAA-AAAA"}})
	lengths[len(slip.body)] = true
	if len(lengths) != 1 {
		t.Errorf("answers have the lengths %v", lengths)
	}
	slices.SortFunc(times, func(a, b timed) int { return int(a.took - b.took) })
	rank, k := 0.0, 0.0
	for i, v := range times {
		if v.affected {
			rank, k = rank+float64(i+1), k+1
		}
	}
	m, all := float64(len(times))-k, float64(len(times))
	if z := (rank - k*(all+1)/2) / math.Sqrt(k*m*(all+1)/12); math.Abs(z) > chance {
		t.Errorf("times tell affected from others: %.1f standard deviations", z)
	}
	for _, word := range told {
		if strings.Contains(h.logged.String(), word) {
			t.Fatal("the log names a customer or a secret")
		}
	}
}

func keyID(t *testing.T, s shape) [8]byte {
	t.Helper()
	b, err := hex.DecodeString(s.key)
	check(t, err)
	return [8]byte(b)
}
