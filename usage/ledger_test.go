package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is a Store as a model has it: a transaction is a lock, and every call
// may fail before it, or after it with its answer lost.
type memory struct {
	mu        sync.Mutex // guards what follows
	stored    map[string]int
	positions map[uint64]int64
	fail      func() (before, after bool)
	refuses   func(Record) bool
	tidied    int
}

func newMemory() *memory {
	return &memory{
		stored: map[string]int{}, positions: map[uint64]int64{},
		fail: func() (bool, bool) { return false, false }, refuses: func(Record) bool { return false },
	}
}

var errAway = errors.New("the database is away")

// Ship implements Store.
func (m *memory) Ship(ctx context.Context, b Batch) (Shipped, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, after := m.fail()
	if before || ctx.Err() != nil {
		return Shipped{}, errAway
	}
	noted := m.positions[b.Journal]
	if noted > b.From {
		return Shipped{Position: noted, Already: true}, nil
	}
	for _, r := range b.Records {
		if m.refuses(r) {
			return Shipped{}, fmt.Errorf("a value is out of range: %w", ErrRefused)
		}
	}
	for _, r := range b.Records {
		m.stored[r.RequestID]++
	}
	m.positions[b.Journal] = b.To
	if after {
		return Shipped{}, errAway
	}
	return Shipped{Position: b.To}, nil
}

// Forget implements Store.
func (m *memory) Forget(_ context.Context, journal uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.positions, journal)
	return nil
}

// Tidy implements Store.
func (m *memory) Tidy(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidied++
	return m.tidied < 3, nil
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.stored)
}

// once fails the test unless n records are stored, once each.
func (m *memory) once(t *testing.T, n int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.stored) != n {
		t.Errorf("%d records are stored, want %d", len(m.stored), n)
	}
	for id, times := range m.stored {
		if times != 1 {
			t.Errorf("%s is stored %d times", id, times)
		}
	}
}

// quick is a ledger in a hurry.
func quick(dir string, s Store) Options {
	return Options{Dir: dir, Store: s, WriteEvery: time.Millisecond, ShipEvery: time.Millisecond}
}

func record(l *Ledger, from, to int) {
	for i := from; i < to; i++ {
		l.Record(Record{RequestID: fmt.Sprint("req-", i), Model: "m", At: time.Now()})
	}
}

// closeIn closes a ledger, and says so if its goroutines do not end.
func closeIn(l *Ledger, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	l.Close(ctx)
}

func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	late := time.After(30 * time.Second)
	for !reached() {
		select {
		case <-again.C:
		case <-late:
			t.Fatal("never: " + what)
		}
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What was recorded is in the store when the ledger is closed, and nothing is
// left on the disk.
func TestTheLedgerStoresAll(t *testing.T) {
	t.Parallel()
	dir, m := filepath.Join(t.TempDir(), "usage"), newMemory()
	l := NewLedger(quick(dir, m))
	var working sync.WaitGroup
	for p := range 4 {
		working.Go(func() { record(l, p*5000, (p+1)*5000) })
	}
	working.Wait()
	closeIn(l, 30*time.Second)
	m.once(t, 20_000)
	if l.Stored() != 20_000 || l.Queued() != 0 || l.JournalLag() != 0 {
		t.Errorf("stored %d, queued %d, lag %v", l.Stored(), l.Queued(), l.JournalLag())
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left on the disk: %v", left)
	}
	if len(m.positions) > 0 {
		t.Errorf("journals noted: %v", m.positions)
	}
	l.Record(Record{})
	if l.Dropped(DropClosed) != 1 {
		t.Error("a record after the end is not counted")
	}
}

// R38: a store that fails at every other call, before it did anything or after
// it did, stores each record once.
func TestAStoreThatFailsStoresOnce(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), newMemory()
	random := rand.New(rand.NewPCG(1, 2))
	m.fail = func() (bool, bool) { return random.IntN(4) == 0, random.IntN(3) == 0 }
	l := NewLedger(quick(dir, m))
	for i := range 20 {
		record(l, i*500, (i+1)*500)
		until(t, "some are stored", func() bool { return m.len() > i*300 })
	}
	until(t, "all are stored", func() bool { return m.len() == 10_000 })
	m.set(func() { m.fail = func() (bool, bool) { return false, false } })
	closeIn(l, 30*time.Second)
	m.once(t, 10_000)
}

// While the store is away the journal holds; a process that ends meanwhile
// leaves it to the next one, which stores it, once, and removes it. That the
// first shipments were stored and their answers lost changes nothing.
func TestAnotherProcessTakesOver(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), newMemory()
	l := NewLedger(quick(dir, m))
	record(l, 0, 1000)
	until(t, "stored", func() bool { return m.len() == 1000 })
	m.set(func() { m.fail = func() (bool, bool) { return false, true } }) // answers are lost
	record(l, 1000, 2000)
	until(t, "stored, and nobody knows", func() bool { return m.len() > 1000 })
	m.set(func() { m.fail = func() (bool, bool) { return true, false } })
	record(l, 2000, 3000)
	until(t, "the lag shows", func() bool { return l.JournalLag() > 0 && l.JournalBytes() > 0 })
	closeIn(l, 30*time.Second)

	m.set(func() { m.fail = func() (bool, bool) { return false, false } })
	next := NewLedger(quick(dir, m))
	until(t, "all are stored", func() bool { return m.len() == 3000 })
	until(t, "the old journal is gone", func() bool { return next.JournalLag() == 0 })
	record(next, 3000, 3001)
	closeIn(next, 30*time.Second)
	m.once(t, 3001)
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left on the disk: %v", left)
	}
}

// Two processes in one directory, as during a restart, have journals of their
// own, and neither touches the other's.
func TestTwoProcessesShareADirectory(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), newMemory()
	old, newer := NewLedger(quick(dir, m)), NewLedger(quick(dir, m))
	for i := range 10 {
		record(old, i*200, i*200+100)
		record(newer, i*200+100, (i+1)*200)
	}
	until(t, "all are stored", func() bool { return m.len() == 2000 })
	if old.own.Load().dir == newer.own.Load().dir {
		t.Error("they share a journal")
	}
	if _, err := adoptJournal(dir, filepath.Base(old.own.Load().dir)); !errors.Is(err, errAlive) {
		t.Errorf("the journal of a living process is adopted: %v", err)
	}
	closeIn(old, 30*time.Second)
	record(newer, 2000, 2100)
	closeIn(newer, 30*time.Second)
	m.once(t, 2100)
}

// A journal has a greatest size: what is in it stays, what comes is dropped and
// counted, and when the store is back there is room again.
func TestAFullJournalKeepsTheOldest(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), newMemory()
	m.fail = func() (bool, bool) { return true, false }
	o := quick(dir, m)
	o.MaxBytes = 256 << 10
	l := NewLedger(o)
	n := 0
	for l.Dropped(DropJournalFull) == 0 {
		record(l, n, n+500)
		n += 500
		until(t, "written", func() bool { return l.Queued() == 0 })
	}
	if got := l.JournalBytes(); got > o.MaxBytes {
		t.Errorf("the journal has %d bytes, more than %d", got, o.MaxBytes)
	}
	lost := int(l.Dropped(DropJournalFull))
	m.set(func() { m.fail = func() (bool, bool) { return false, false } })
	until(t, "what was there is stored", func() bool { return m.len() == n-lost })
	until(t, "there is room", func() bool { return l.JournalBytes() < o.MaxBytes/2 })
	record(l, n, n+500)
	closeIn(l, 30*time.Second)
	m.once(t, n+500-lost)
	if m.stored["req-0"] != 1 {
		t.Error("the oldest is not among those that were kept")
	}
}

// R46: while the disk fails nobody waits: records stay in memory, as far as
// that goes, the rest is counted. When it works again what was in memory is
// stored, and nothing that was written before is damaged.
func TestADiskThatFails(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"write", "sync", "create"} {
		dir, m, disk := t.TempDir(), newMemory(), &faulty{}
		o := quick(dir, m)
		o.Queue = 2000
		l := NewLedger(o)
		until(t, "there is a journal", func() bool { return l.own.Load() != nil })
		record(l, 0, 100)
		until(t, "stored", func() bool { return m.len() == 100 })
		w := l.own.Load()
		disk.set(broken)
		w.swap(disk.create)
		record(l, 100, 1100) // stay in memory
		until(t, "the disk has failed", l.failing.Load)
		record(l, 1100, 5000)
		kept := int(l.Queued())
		if got := int(l.Dropped(DropDisk)); kept > o.Queue || kept+got != 4900 {
			t.Errorf("%s: %d in memory and %d dropped of 4900", broken, kept, got)
		}
		disk.set("")
		until(t, "all that was kept is stored", func() bool { return m.len() == 100+kept })
		closeIn(l, 30*time.Second)
		m.once(t, 100+kept)
		if l.failing.Load() {
			t.Errorf("%s: the disk is said to fail", broken)
		}
	}
}

// swap puts other files under the journal from its next segment on, which it
// makes begin now.
func (j *journal) swap(create func(string) (writable, error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.create, j.limit = create, 1
}

// faulty is a disk that can fail.
type faulty struct {
	mu   sync.Mutex // guards what
	what string
}

func (f *faulty) set(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.what = what
}

var errDisk = errors.New("input/output error")

func (f *faulty) fails(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.what == what {
		return errDisk
	}
	return nil
}

func (f *faulty) create(path string) (writable, error) {
	if err := f.fails("create"); err != nil {
		return nil, err
	}
	file, err := createFile(path)
	return faultyFile{file, f}, err
}

type faultyFile struct {
	writable
	disk *faulty
}

// WriteAt fails half way, as a disk that fills up does.
func (f faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.disk.fails("write"); err != nil && at > 0 {
		n, _ := f.writable.WriteAt(b[:len(b)/2], at)
		return n, err
	}
	return f.writable.WriteAt(b, at)
}

// Sync fails after everything was written.
func (f faultyFile) Sync() error {
	if err := f.disk.fails("sync"); err != nil {
		return err
	}
	return f.writable.Sync()
}

// A record that the store will never take does not keep the others waiting: the
// frame that it is in is set aside.
func TestRefusedRecordsAreSetAside(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), newMemory()
	m.fail = func() (bool, bool) { return true, false }
	m.refuses = func(r Record) bool { return r.RequestID == "req-5" }
	l := NewLedger(quick(dir, m))
	for i := range 10 { // a frame each
		record(l, i, i+1)
		until(t, "written", func() bool { return l.Queued() == 0 })
	}
	m.set(func() { m.fail = func() (bool, bool) { return false, false } })
	until(t, "the others are stored", func() bool { return m.len() == 9 })
	closeIn(l, 30*time.Second)
	m.once(t, 9)
	left := files(t, dir)
	if l.Dropped(DropRefused) != 1 || len(left) != 1 || !strings.HasSuffix(left[0], ".refused") {
		t.Errorf("refused %d, left on the disk: %v", l.Dropped(DropRefused), left)
	}
}

// An end does not wait for a store that hangs longer than it was told to.
func TestCloseDoesNotWaitForAStoreThatHangs(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), newMemory()
	hang := &hanging{memory: m, called: make(chan struct{}, 1)}
	l := NewLedger(quick(dir, hang))
	record(l, 0, 10)
	<-hang.called
	closeIn(l, time.Millisecond)
	until(t, "the journal can be adopted", func() bool {
		j, err := adoptJournal(dir, filepath.Base(l.own.Load().dir))
		if err == nil {
			j.leave()
		}
		return err == nil
	})
	next := NewLedger(quick(dir, m))
	until(t, "stored", func() bool { return m.len() == 10 })
	closeIn(next, 30*time.Second)
	m.once(t, 10)
}

// hanging is a Store that answers nothing until it is told to stop.
type hanging struct {
	*memory
	called chan struct{}
}

// Ship implements Store.
func (h *hanging) Ship(ctx context.Context, _ Batch) (Shipped, error) {
	signal(h.called)
	<-ctx.Done()
	return Shipped{}, ctx.Err()
}

// Somebody who removes the directory under a running gateway loses what was
// in it, and nothing that comes later.
func TestADirectoryThatIsRemovedIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir, m := filepath.Join(t.TempDir(), "usage"), newMemory()
	var said bytes.Buffer
	o := quick(dir, m)
	o.Log = slog.New(slog.NewTextHandler(&said, nil))
	l := NewLedger(o)
	record(l, 0, 10)
	until(t, "stored", func() bool { return m.len() == 10 })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.own.Load().swap(createFile)
	record(l, 10, 20)
	until(t, "stored", func() bool { return m.len() == 20 })
	closeIn(l, 30*time.Second)
	m.once(t, 20)
	if said.Len() > 0 {
		t.Errorf("it complained:\n%s", &said)
	}
}

// What is old is tidied away at the start, and as long as there is more.
func TestTidyingGoesOnWhileThereIsMore(t *testing.T) {
	t.Parallel()
	m := newMemory()
	l := NewLedger(quick(t.TempDir(), m))
	for i := 0; ; i++ {
		record(l, i, i+1)
		m.mu.Lock()
		n := m.tidied
		m.mu.Unlock()
		if n == 3 {
			break
		}
		until(t, "stored", func() bool { return m.len() == i+1 })
	}
	closeIn(l, 30*time.Second)
}

// The more comes, the more is gathered for one batch: the Store pays for each.
func TestABusyShipperGathersForLonger(t *testing.T) {
	f := func(last int, want time.Duration) {
		t.Helper()
		s := &shipper{Ledger: &Ledger{Options: Options{ShipEvery: time.Second}}, many: last}
		if got := s.gathering(); got != want {
			t.Errorf("after %d records it waits %v, want %v", last, got, want)
		}
	}
	f(0, time.Second)
	f(busyRecords-1, time.Second)
	f(busyRecords, 4*time.Second)
}
