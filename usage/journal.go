package usage

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// journal is the records of one process that may not be in the Store yet: a
// directory of its own, named by a random id, with segments and a lock that
// the process holds as long as it lives.
//
// A position is the number of bytes of frames before it. One goroutine appends
// and another reads what has been appended and lets it go; a journal that a
// dead process left behind is only read.
type journal struct {
	id       uint64
	dir      string
	lock     *os.File
	limit    int64 // of a segment, in bytes
	create   func(path string) (writable, error)
	appended chan struct{} // there is something new to read

	file writable // of the last segment; nil: the next append begins one. The appender's

	mu       sync.Mutex // guards what follows
	segments []*segment // oldest first
	end      int64      // up to here frames are on the disk
	since    time.Time  // when the oldest frame was written that has not been let go; zero: there is none
}

const (
	lockName      = "lock"
	makingPrefix  = ".making-" // of a journal that has no lock yet
	segmentBytes  = 8 << 20
	journalDigits = 16
)

// createJournal makes a journal in the directory root. It has its name only
// once it is locked: what has a name and no lock was left behind.
func createJournal(root string) (*journal, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	j := &journal{
		id:    binary.LittleEndian.Uint64(random[:]) >> 1, // a bigint of the database
		limit: segmentBytes, create: createFile, appended: make(chan struct{}, 1),
	}
	j.dir = journalDir(root, j.id)
	making := filepath.Join(root, makingPrefix+filepath.Base(j.dir))
	if err := os.Mkdir(making, 0o700); err != nil {
		return nil, err
	}
	var err error
	if j.lock, err = lockFile(filepath.Join(making, lockName)); err == nil {
		err = os.Rename(making, j.dir)
	}
	if err == nil {
		err = syncDir(root)
	}
	if err != nil {
		j.unlock()
		_ = os.RemoveAll(making)
		return nil, err
	}
	return j, nil
}

// randomBits returns a random number of so many bits, unlike any other
// process's.
func randomBits(n int) uint64 {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return binary.LittleEndian.Uint64(random[:]) >> (64 - n)
}

func journalDir(root string, id uint64) string {
	return filepath.Join(root, fmt.Sprintf("%0*x", journalDigits, id))
}

// errAlive is for a journal whose process lives.
var errAlive = errors.New("the journal is in use")

// adoptJournal opens a journal that a dead process left behind, to be read to
// its end. It is errAlive if the process is not dead.
func adoptJournal(root, name string) (*journal, error) {
	id, err := strconv.ParseUint(name, 16, 63)
	if err != nil || len(name) != journalDigits {
		return nil, fmt.Errorf("%s is not a journal", name)
	}
	j := &journal{id: id, dir: filepath.Join(root, name), appended: make(chan struct{}, 1)}
	path := filepath.Join(j.dir, lockName)
	if j.lock, err = lockFile(path); err != nil {
		return nil, err
	}
	// Between our looking for it and our locking it another may have read it
	// to its end and removed it.
	if !isAt(j.lock, path) {
		j.unlock()
		return nil, os.ErrNotExist
	}
	if j.segments, err = listSegments(j.dir); err != nil {
		j.unlock()
		return nil, err
	}
	if n := len(j.segments); n > 0 {
		j.end = j.segments[n-1].end()
		j.since = time.Now()
		if info, err := os.Stat(j.segments[0].path); err == nil {
			j.since = info.ModTime()
		}
	}
	return j, nil
}

func isAt(file *os.File, path string) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}

// append writes a frame to the disk. After an error nothing of it is in the
// journal, and the next append begins a new segment: what a disk holds after a
// failed sync is anybody's guess.
func (j *journal) append(f *frame, now time.Time) error {
	if err := j.makeRoom(); err != nil {
		return err
	}
	j.mu.Lock()
	last, position := j.segments[len(j.segments)-1], j.end
	j.mu.Unlock()

	f.seal(j.id, position, now)
	_, err := j.file.WriteAt(f.bytes, last.offset(position))
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		_ = j.file.Truncate(last.offset(position)) // the reader does without, but a person who looks may wonder
		j.seal()
		return err
	}
	j.mu.Lock()
	last.size += int64(len(f.bytes))
	j.end = last.end()
	if j.since.IsZero() {
		j.since = now
	}
	j.mu.Unlock()
	signal(j.appended)
	return nil
}

// makeRoom begins a segment when there is none, or the last one is full.
func (j *journal) makeRoom() error {
	j.mu.Lock()
	base := j.end
	full := len(j.segments) > 0 && j.segments[len(j.segments)-1].size >= j.limit
	j.mu.Unlock()
	if full {
		j.seal()
	}
	if j.file != nil {
		return nil
	}
	file, begun, err := createSegment(j.create, j.dir, j.id, base)
	if errors.Is(err, os.ErrNotExist) {
		if err = j.remake(); err == nil {
			file, begun, err = createSegment(j.create, j.dir, j.id, base)
		}
	}
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	// An empty one of the same base is the same file.
	if n := len(j.segments); n > 0 && j.segments[n-1].size == 0 {
		j.segments = j.segments[:n-1]
	}
	j.file, j.segments = file, append(j.segments, begun)
	return nil
}

// remake makes the directory again that somebody removed.
func (j *journal) remake() error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(j.dir, lockName))
	if err != nil {
		return err
	}
	j.unlock()
	j.lock = lock
	return nil
}

// seal ends writing to the last segment.
func (j *journal) seal() {
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
}

// letGo notes that everything up to position is in the Store: segments that
// are wholly below it are removed, but for the one that is being written.
func (j *journal) letGo(position int64, writtenAt time.Time) {
	j.mu.Lock()
	var gone []*segment
	for len(j.segments) > 1 && j.segments[0].end() <= position {
		gone = append(gone, j.segments[0])
		j.segments = j.segments[1:]
	}
	if !writtenAt.IsZero() {
		j.since = writtenAt
	}
	if position >= j.end {
		j.since = time.Time{}
	}
	j.mu.Unlock()
	for _, s := range gone {
		_ = os.Remove(s.path) // a leftover is found again, and known to be stored
	}
}

// bytes is what the journal takes on the disk.
func (j *journal) bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var n int64
	for _, s := range j.segments {
		n += segmentHead + s.size
	}
	return n
}

// lag is how old the oldest frame is that has not been let go.
func (j *journal) lag(now time.Time) time.Duration {
	since := j.waiting()
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since))
}

// waiting is when the oldest frame was written that has not been let go.
func (j *journal) waiting() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.since
}

// remove ends the journal: all of it is in the Store.
func (j *journal) remove() error {
	j.seal()
	defer j.unlock() // last: until then nobody else looks at it
	if err := os.RemoveAll(j.dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(j.dir))
}

// leave ends our part in the journal; another process may read it.
func (j *journal) leave() {
	j.seal()
	j.unlock()
}

func (j *journal) unlock() {
	if j.lock != nil {
		_ = j.lock.Close()
		j.lock = nil
	}
}
