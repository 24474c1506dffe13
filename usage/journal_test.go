package usage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// written makes a journal of some frames of records each, in segments of a few
// frames, as a process that was killed leaves it. It returns its directory and
// where its frames begin and end.
func written(t interface{ Fatal(...any) }, root string, frames []int) (dir string, ends []int64) {
	j, err := createJournal(root)
	if err != nil {
		t.Fatal(err)
	}
	j.limit = 700
	j.create = func(path string) (writable, error) {
		file, err := createFile(path)
		return unsynced{file}, err
	}
	ends = []int64{0}
	n := 0
	for _, records := range frames {
		var f frame
		f.reset()
		for range records {
			f.add(&Record{RequestID: "r", Prompt: int64(n)})
			n++
		}
		if err := j.append(&f, time.Now()); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.end)
	}
	j.leave()
	return j.dir, ends
}

// unsynced is a file that leaves syncing to the system: what these tests read
// was not written before a power cut.
type unsynced struct{ writable }

// Sync does nothing.
func (unsynced) Sync() error { return nil }

// reading is what a reader made of a journal.
type reading struct {
	prompts       []int64 // of the records, which are numbered so
	spoiled, torn int
	pieces        int // that could not be read, but for torn ends
}

func read(t interface{ Fatal(...any) }, root, dir string) (got reading) {
	j, err := adoptJournal(root, filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer j.leave()
	r := reader{j: j}
	defer r.close()
	var p portion
	for at := int64(-1); ; at = p.to {
		found, err := r.next(&p)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			return got
		}
		if p.from < at || p.to <= p.from {
			t.Fatal("a portion goes back: ", p.from, p.to, " after ", at)
		}
		for _, one := range p.records {
			got.prompts = append(got.prompts, one.Prompt)
		}
		switch {
		case p.torn:
			got.torn += p.spoiled
		case p.spoiled > 0:
			got.spoiled += p.spoiled
			got.pieces++
			if _, err := r.raw(p.from, p.to); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Whatever was written is read, in its order, over segments and portions.
func TestAJournalIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		frames := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 12).Draw(rt, "frames")
		root := t.TempDir()
		dir, _ := written(rt, root, frames)
		got, n := read(rt, root, dir), 0
		for _, records := range frames {
			n += records
		}
		if len(got.prompts) != n || got.torn+got.spoiled > 0 {
			rt.Fatalf("%d records of %d, %+v", len(got.prompts), n, got)
		}
		for i, prompt := range got.prompts {
			if prompt != int64(i) {
				rt.Fatalf("record %d is %d", i, prompt)
			}
		}
	})
}

// last is the segment that was being written.
func last(t *testing.T, dir string) (path string, content []byte, base int64) {
	t.Helper()
	segments, err := listSegments(dir)
	if err != nil || len(segments) == 0 {
		t.Fatal(err, len(segments))
	}
	s := segments[len(segments)-1]
	if content, err = os.ReadFile(s.path); err != nil {
		t.Fatal(err)
	}
	return s.path, content, s.base
}

// R36: a journal that ends at any byte, cut off there or with zeros from there
// on, gives all frames that are whole before it, and no other record.
func TestATornEndCostsOnlyTheTornFrame(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	frames := []int{3, 8, 2, 5, 9, 1, 4}
	dir, ends := written(t, root, frames)
	path, content, base := last(t, dir)
	whole := func(upTo int64) (n int, at int64) {
		for i, records := range frames {
			if ends[i+1] > upTo {
				return n, ends[i]
			}
			n += records
		}
		return n, ends[len(frames)]
	}
	for cut := range content {
		for _, zeroed := range []bool{false, true} {
			short := append([]byte(nil), content[:cut]...)
			if zeroed {
				short = append(short, make([]byte, len(content)-cut)...)
			}
			if err := os.WriteFile(path, short, 0o600); err != nil {
				t.Fatal(err)
			}
			cut := cut
			for cut < len(short) && short[cut] == content[cut] {
				cut++ // the zeros are what was written
			}
			if cut == len(content) {
				continue
			}
			got := read(t, root, dir)
			want, at := whole(base + int64(max(0, cut-segmentHead)))
			if len(got.prompts) != want {
				t.Fatalf("cut at %d (zeros behind: %v): %d records, want %d", cut, zeroed, len(got.prompts), want)
			}
			if cut > segmentHead && base+int64(cut-segmentHead) > at && got.torn+got.spoiled == 0 {
				t.Fatalf("cut at %d: a torn frame is not counted: %+v", cut, got)
			}
			if !zeroed && got.spoiled > 0 {
				t.Fatalf("cut at %d: a torn frame passes for damage: %+v", cut, got)
			}
			for i, prompt := range got.prompts {
				if prompt != int64(i) {
					t.Fatalf("cut at %d: record %d is %d", cut, i, prompt)
				}
			}
		}
	}
}

// A bit that flipped anywhere costs the records of its frame, or of the rest of
// its segment, never others; what could not be read is counted, or the flip is
// where nobody looks.
func TestAFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	frames := []int{3, 8, 2, 5, 9, 1, 4}
	dir, _ := written(t, root, frames)
	segments, err := listSegments(dir)
	if err != nil || len(segments) < 2 {
		t.Fatal(err, len(segments))
	}
	const all = 32
	for s, one := range segments {
		content, err := os.ReadFile(one.path)
		if err != nil {
			t.Fatal(err)
		}
		for at := segmentHead; at < len(content); at++ {
			broken := append([]byte(nil), content...)
			broken[at] ^= 1 << (at % 8)
			if err := os.WriteFile(one.path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			got := read(t, root, dir)
			if len(got.prompts) >= all || got.spoiled+got.torn == 0 {
				t.Fatalf("segment %d, byte %d: %+v", s, at, got)
			}
			if s < len(segments)-1 && (got.torn > 0 || got.prompts[len(got.prompts)-1] != all-1) {
				t.Fatalf("segment %d, byte %d: later segments are not read: %+v", s, at, got)
			}
			for i := 1; i < len(got.prompts); i++ {
				if got.prompts[i] <= got.prompts[i-1] {
					t.Fatalf("segment %d, byte %d: %d after %d", s, at, got.prompts[i], got.prompts[i-1])
				}
			}
		}
		if err := os.WriteFile(one.path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Damage is set aside, counted and does not keep what comes after it.
func TestDamageIsKeptForAPerson(t *testing.T) {
	t.Parallel()
	root, m := t.TempDir(), newMemory()
	dir, ends := written(t, root, []int{5, 6, 7, 8, 9})
	segments, err := listSegments(dir)
	if err != nil || len(segments) < 2 {
		t.Fatal(err, len(segments))
	}
	first, err := os.ReadFile(segments[0].path)
	if err != nil {
		t.Fatal(err)
	}
	first[segmentHead+ends[1]+frameHeader+40] ^= 4 // in the payload of the second frame
	if err := os.WriteFile(segments[0].path, first, 0o600); err != nil {
		t.Fatal(err)
	}
	l := NewLedger(quick(root, m))
	until(t, "the journal is read", func() bool { return l.Dropped(DropDamaged) == 6 })
	until(t, "the rest is stored", func() bool { return l.Stored() == 29 })
	until(t, "the journal is removed", func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) })
	closeIn(l, 30*time.Second)
	left := files(t, root)
	if len(left) != 1 || !strings.HasSuffix(left[0], ".damaged") {
		t.Fatalf("left on the disk: %v", left)
	}
	aside, err := os.ReadFile(filepath.Join(root, left[0]))
	if err != nil || string(aside) != string(first[segmentHead+ends[1]:segmentHead+ends[2]]) {
		t.Errorf("%d bytes are set aside, %v", len(aside), err)
	}
}

// Names that are no journals are left alone, and what a process left that died
// while it made its journal is cleared away.
func TestOnlyJournalsAreAdopted(t *testing.T) {
	t.Parallel()
	root, m := t.TempDir(), newMemory()
	f := func(name string, age time.Duration) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	f("lost+found", 0)
	f("0123", 0)
	f(".making-0123456789abcdef", time.Hour)
	f(".making-fedcba9876543210", 0)
	f("00000000000000ff", 0) // a journal of which only the name was made
	l := NewLedger(quick(root, m))
	record(l, 0, 1)
	until(t, "stored", func() bool { return m.len() == 1 })
	closeIn(l, 30*time.Second)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if got := strings.Join(left, " "); got != ".making-fedcba9876543210 0123 lost+found" {
		t.Errorf("left: %s", got)
	}
}

// Ids rise, whatever the clock does, and those of two processes differ.
func TestIDsRise(t *testing.T) {
	a, b := ids{own: 1 << idNumbering}, ids{own: 2 << idNumbering}
	seen := map[uint64]bool{}
	at := time.UnixMilli(idEpoch + 1000)
	for i := range 10_000 {
		now := at.Add(time.Duration(i/500+i%3-i%7) * time.Millisecond)
		before := a.last
		for _, id := range []uint64{a.next(now), b.next(now)} {
			if seen[id] || id > 1<<62 {
				t.Fatalf("id %d again, or too large", id)
			}
			seen[id] = true
		}
		if a.last <= before {
			t.Fatalf("%d after %d", a.last, before)
		}
	}
}
