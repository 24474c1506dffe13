package usage

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"
)

// reader reads a journal from a position on, frame by frame. One goroutine
// uses it; the journal may be appended to meanwhile.
type reader struct {
	j        *journal
	position int64
	decoder  Decoder
	buffer   []byte
	window   window
	file     *os.File // of the segment that path names
	path     string
}

// window is a part of a file that has been read: of a long journal many frames
// at once.
type window struct {
	path string
	from int64 // position
	b    []byte
}

// at returns the view from a position on if there is a whole frame in it.
func (w *window) at(path string, position int64) []byte {
	if w.path != path || position < w.from || position-w.from > int64(len(w.b)) {
		return nil
	}
	b := w.b[position-w.from:]
	if len(b) < frameHeader {
		return nil
	}
	length := binary.LittleEndian.Uint32(b)
	if length == 0 || length > uint32(len(b)-frameHeader) {
		return nil
	}
	return b
}

// portion is a piece of a journal, to be stored as one: sound frames one after
// the other, or else one piece that cannot be read.
type portion struct {
	from, to int64
	records  []Record
	encoded  []byte    // the records as they are in the journal
	frames   int       // sound ones
	at       time.Time // when the last of it was written
	spoiled  int       // records that could not be read, of a piece that cannot be; at least 1
	torn     bool      // it is the end of a journal that was cut off in the middle of a write
}

// portionRecords is how many records make a portion full: the more, the fewer
// times the same sums are added to, and the database takes so many in some ten
// milliseconds.
const portionRecords = 8 * frameRecords

// next reads what is on the disk behind the position into p, some thousand
// records at most, and goes on there. It reports false at the end.
func (r *reader) next(p *portion) (bool, error) {
	*p = portion{from: r.position, to: r.position, records: p.records[:0], encoded: p.encoded[:0]}
	for len(p.records) < portionRecords {
		b, last, err := r.look()
		if errors.Is(err, os.ErrNotExist) {
			r.miss(p)
			break
		}
		if err != nil {
			return false, err
		}
		if len(b) == 0 {
			break
		}
		if len(p.records) == 0 {
			p.from, p.to = r.position, r.position // what is gone from the front is stepped over
		}
		h := readHeader(b, r.j.id, r.position)
		if h.state == sound {
			if p.records, p.encoded, err = r.decoder.records(p.records, p.encoded, b[:h.size], h.records); err != nil {
				h.state = spoiled // another version's
			}
		}
		if h.state != sound {
			if p.to > p.from {
				break // a portion of its own
			}
			r.refuse(p, h, last)
			break
		}
		p.to, p.at = r.position+int64(h.size), h.at
		p.frames++
		r.position = p.to
	}
	return p.to > p.from, nil
}

// refuse makes p the piece that cannot be read: a frame, or all up to the end
// of the segment where frames cannot be told apart.
func (r *reader) refuse(p *portion, h header, last bool) {
	end := r.position + int64(h.size)
	if h.state == unknown || h.state == short && !last {
		end = r.segment().end()
	}
	p.to, p.at, p.spoiled = end, h.at, max(1, h.records)
	p.torn = h.state == short && last
	r.position = end
}

// miss steps over a segment whose file somebody removed, in a portion of its own.
func (r *reader) miss(p *portion) {
	if p.to > p.from {
		return
	}
	p.from, p.to, p.spoiled = r.position, r.segment().end(), 1
	r.position = p.to
}

// look returns a view of the frames at the position: a whole one at least, if
// there is one. Nothing means the end; last, that there is nothing behind the
// view.
func (r *reader) look() (b []byte, last bool, err error) {
	s := r.segment()
	if s == nil {
		return nil, true, nil
	}
	if err := r.open(s); err != nil {
		return nil, false, err
	}
	if b := r.window.at(s.path, r.position); b != nil {
		return b, false, nil
	}
	left := s.end() - r.position
	n := min(left, frameHeader+framePayload)
	if int64(cap(r.buffer)) < n {
		r.buffer = make([]byte, n)
	}
	read, err := r.file.ReadAt(r.buffer[:n], s.offset(r.position))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	r.window = window{path: s.path, from: r.position, b: r.buffer[:read]}
	return r.window.b, int64(read) == left, nil
}

// segment finds the segment that the position is in, stepping over gaps
// between them. nil is the end.
func (r *reader) segment() *segment {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	for _, s := range r.j.segments {
		if r.position < s.end() {
			r.position = max(r.position, s.base)
			found := *s
			return &found
		}
	}
	return nil
}

func (r *reader) open(s *segment) error {
	if r.file != nil && r.path == s.path {
		return nil
	}
	r.close()
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	r.file, r.path = file, s.path
	return nil
}

// frames reads the sound frames between two positions of which next made one
// portion.
func (r *reader) frames(from, to int64) ([]portion, error) {
	var all []portion
	for r.position = from; r.position < to; {
		b, _, err := r.look()
		if err != nil {
			return nil, err
		}
		h := readHeader(b, r.j.id, r.position)
		if h.state != sound {
			return nil, io.ErrUnexpectedEOF // it was sound a moment ago
		}
		p := portion{from: r.position, to: r.position + int64(h.size), frames: 1, at: h.at}
		if p.records, p.encoded, err = r.decoder.records(nil, nil, b[:h.size], h.records); err != nil {
			return nil, err
		}
		all = append(all, p)
		r.position = p.to
	}
	return all, nil
}

// raw returns the bytes between two positions of one segment.
func (r *reader) raw(from, to int64) ([]byte, error) {
	r.position = from
	s := r.segment()
	if s == nil || from < s.base {
		return nil, io.ErrUnexpectedEOF
	}
	if err := r.open(s); err != nil {
		return nil, err
	}
	b := make([]byte, to-from)
	n, err := r.file.ReadAt(b, s.offset(from))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r.position = to
	return b[:n], nil
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file, r.window = nil, window{}
	}
}
