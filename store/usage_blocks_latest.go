package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"llmproxy/usage"
)

// storedBlock is a row of usage_blocks.
type storedBlock struct {
	lastAt, id, firstAt int64
	records             int
	marks               []byte
}

func scanBlocks(found rows, err error) ([]storedBlock, error) {
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []storedBlock
	for found.Next() {
		var b storedBlock
		if err := found.Scan(&b.lastAt, &b.id, &b.firstAt, &b.records, &b.marks); err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, found.Err()
}

// latest implements usageDialect: blocks from the one whose last record is the
// newest on, until no further one can have a record for the page.
func (s *usageSQLite) latest(ctx context.Context, f UsageFilter, after UsageCursor, n int) ([]usage.Record, error) {
	var page *usagePage
	err := s.view(ctx, asking, func(x tx) error {
		page = newUsagePage(f, after, int(rowLimit(n)))
		return s.walk(x, page)
	})
	if err != nil {
		return nil, err
	}
	return page.records, nil
}

// blocksAtOnce is how many rows of usage_blocks are read at first: more the
// longer it takes.
const (
	blocksAtOnce = 16
	blocksAtMost = 512
)

func (s *usageSQLite) walk(x tx, page *usagePage) error {
	// A block does not reach over the end of a day.
	before := storedBlock{lastAt: dayEnd(page.end), id: 0}
	hours := newUsageHours(page.filter, time.Now())
	for most := blocksAtOnce; ; most = min(2*most, blocksAtMost) {
		blocks, err := scanBlocks(x.query(`SELECT last_at, id, first_at, records, marks FROM usage_blocks
			WHERE (last_at, id) < ($1, $2) AND last_at >= $3 ORDER BY last_at DESC, id DESC LIMIT $4`,
			before.lastAt, before.id, page.start, most))
		if err != nil {
			return err
		}
		for i := range blocks {
			if page.complete(blocks[i].lastAt) {
				return nil
			}
			if err := s.visit(x, &blocks[i], page, hours); err != nil {
				return err
			}
		}
		if len(blocks) < most {
			return nil
		}
		before = blocks[len(blocks)-1]
	}
}

// visit takes what is meant out of one block, unless it can tell that there is
// nothing.
func (s *usageSQLite) visit(x tx, b *storedBlock, page *usagePage, hours *usageHours) error {
	if !page.mayHave(b) {
		return nil
	}
	if page.vain >= vainBlocks && len(page.marks) > 0 {
		if may, err := hours.mayHave(x, b); err != nil || !may {
			return err
		}
	}
	var err error
	if page.encoded, err = s.unpack(x, b, page.encoded[:0]); err != nil {
		return err
	}
	if err := page.take(page.encoded); err != nil {
		s.damaged(b.id, err)
	}
	return nil
}

// dayEnd is the end of the day of a time, both in microseconds, where there is one.
func dayEnd(at int64) int64 {
	if at > math.MaxInt64-dayMicros {
		return math.MaxInt64
	}
	return dayOf(at) + dayMicros
}

// unpack reads the records of a block behind dst, or nothing of one that is
// damaged: the others can be read all the same.
func (s *usageSQLite) unpack(x tx, b *storedBlock, dst []byte) ([]byte, error) {
	var packed sql.RawBytes
	found, err := x.query("SELECT packed FROM usage_packed WHERE id = $1", b.id)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	if !found.Next() {
		if err := found.Err(); err != nil {
			return nil, err
		}
		s.damaged(b.id, errors.New("it is not there"))
		return nil, nil
	}
	if err := found.Scan(&packed); err != nil {
		return nil, err
	}
	s.unpacked.Add(1)
	encoded, err := usage.AppendBlockRecords(dst, packed)
	if err != nil {
		s.damaged(b.id, err)
		return nil, nil
	}
	return encoded, nil
}

// damaged counts a block that cannot be read, and says so once for each.
func (s *usageSQLite) damaged(id int64, why error) {
	if _, known := s.broken.LoadOrStore(id, true); !known {
		s.log.Error("a block of usage records is damaged: it is left out", "block", id, "error", why)
	}
}

// Damaged is how many blocks of usage.db were found that cannot be read.
func (u *Usage) Damaged() (n int64) {
	if s, ok := u.db.(*usageSQLite); ok {
		s.broken.Range(func(any, any) bool { n++; return true })
	}
	return n
}
