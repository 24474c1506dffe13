package usage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A segment is one file of a journal, named by the position of its first
// frame, in hex. It begins with a mark and the journal's id; a position within
// it is its base and the bytes of frames before.
type segment struct {
	path string
	base int64
	size int64 // bytes of frames; in a journal left behind perhaps with a torn end
}

const (
	segmentHead   = 16
	segmentMark   = "usage\x00\x00\x01" // the last byte is the version of the framing
	segmentEnding = ".seg"
)

// end is the position behind its last frame.
func (s *segment) end() int64 { return s.base + s.size }

// offset is where in the file a position is.
func (s *segment) offset(position int64) int64 { return segmentHead + position - s.base }

func segmentPath(dir string, base int64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", base, segmentEnding))
}

// writable is what the journal needs of a file that it writes.
type writable interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// createFile opens a file to write, empty. It is a variable of the journal, so
// that tests can put a disk that fails under it.
func createFile(path string) (writable, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// createSegment makes the file of a segment. It is on the disk, by name too,
// before anything is in it.
func createSegment(create func(string) (writable, error), dir string, journal uint64, base int64) (writable, *segment, error) {
	s := &segment{path: segmentPath(dir, base), base: base}
	file, err := create(s.path)
	if err != nil {
		return nil, nil, err
	}
	head := binary.LittleEndian.AppendUint64([]byte(segmentMark), journal)
	if _, err = file.WriteAt(head, 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(s.path)
		return nil, nil, err
	}
	return file, s, nil
}

// syncDir puts the names in a directory on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// listSegments finds the segments in a journal's directory, oldest first. One
// that was begun because writing to its predecessor failed may overlap the
// predecessor's unusable end, which does not count then.
func listSegments(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []*segment
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), segmentEnding)
		base, parseErr := strconv.ParseUint(name, 16, 63)
		if !ok || parseErr != nil {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, &segment{
			path: filepath.Join(dir, entry.Name()), base: int64(base), size: max(0, info.Size()-segmentHead),
		})
	}
	slices.SortFunc(found, func(a, b *segment) int { return int(min(max(a.base-b.base, -1), 1)) })
	for i := 1; i < len(found); i++ {
		before := found[i-1]
		before.size = min(before.size, found[i].base-before.base)
	}
	return found, nil
}
