package store

import (
	"fmt"
	"time"

	"llmproxy/usage"
)

// usageBlock is records of one day on their way into a row of usage_blocks and
// one of usage_packed.
type usageBlock struct {
	day             int64 // in microseconds of Unix time
	firstAt, lastAt int64 // of the records, in microseconds of Unix time
	records         int
	marks           usageMarks
	encoded         []byte
}

const (
	// blockRecords is how many records a block has at most. A question has to
	// unpack whole blocks, so that more would make it dear to find few records;
	// fewer, to go by blocks that do not have what is asked for.
	blockRecords = 1024

	mergeRatio = 2 // see merge

	dayMicros = int64(24 * time.Hour / time.Microsecond)
)

func newUsageBlock(day int64) *usageBlock {
	return &usageBlock{day: day, marks: usageMarks{}}
}

// cutBlocks makes blocks of so many records at most of those of a batch that are
// kept.
func cutBlocks(b *usageBatch, most int) ([]*usageBlock, error) {
	var blocks []*usageBlock
	open := map[int64]*usageBlock{} // by day: the last one, if it is not full
	var last *usageBlock
	rest := b.encoded()
	for i := range b.Records {
		one, behind, err := usage.NextRecord(rest)
		if err != nil {
			return nil, refused(err)
		}
		rest = behind
		r := &b.Records[i]
		if !b.keeps(r) {
			continue
		}
		if day := dayOf(one.At()); last == nil || last.day != day || last.records >= most {
			if last = open[day]; last == nil || last.records >= most {
				last = newUsageBlock(day)
				open[day], blocks = last, append(blocks, last)
			}
		}
		last.add(one, r, b.groups[i])
	}
	if len(rest) > 0 {
		return nil, refused(fmt.Errorf("%d bytes behind the records", len(rest)))
	}
	return blocks, nil
}

// dayOf is the beginning of the day (UTC) of a time, both in microseconds.
func dayOf(at int64) int64 {
	into := at % dayMicros
	if into < 0 {
		into += dayMicros
	}
	return at - into
}

// add adds a record; group is its sum, if there is one.
func (b *usageBlock) add(one usage.Encoded, r *usage.Record, group *usageSum) {
	b.stretch(one.At(), one.At(), 1)
	b.encoded = append(b.encoded, one...)
	if group != nil {
		if group.marked == b {
			return
		}
		group.marked = b
	}
	k := usageKey{keyID: r.APIKeyID, model: r.Model, provider: r.Provider, endpoint: r.Endpoint, outcome: r.Outcome}
	for _, m := range k.marks() {
		b.marks[m] = struct{}{}
	}
}

func (b *usageBlock) stretch(firstAt, lastAt int64, records int) {
	if b.records == 0 {
		b.firstAt, b.lastAt = firstAt, lastAt
	}
	b.firstAt, b.lastAt = min(b.firstAt, firstAt), max(b.lastAt, lastAt)
	b.records += records
}

// insert implements usageDialect.
func (s *usageSQLite) insert(x tx, b *usageBatch) error {
	blocks, err := cutBlocks(b, s.blockRecords)
	if err != nil {
		return err
	}
	for _, block := range blocks {
		if 2*block.records <= s.blockRecords {
			if err := s.merge(x, block); err != nil {
				return err
			}
		}
		if err := s.store(x, block); err != nil {
			return err
		}
	}
	return nil
}

// store writes a block.
func (s *usageSQLite) store(x tx, b *usageBlock) error {
	s.packed = usage.AppendBlock(s.packed[:0], b.encoded)
	var id int64
	if err := readOne(x, []any{&id}, "INSERT INTO usage_packed (packed) VALUES ($1) RETURNING id", s.packed); err != nil {
		return err
	}
	_, err := x.exec("INSERT INTO usage_blocks (last_at, id, first_at, records, marks) VALUES ($1, $2, $3, $4, $5)",
		b.lastAt, id, b.firstAt, b.records, b.marks.bytes())
	return err
}

// merge takes the last blocks of the day into b, as long as they are no more
// than mergeRatio times as large: so a gateway of few requests does not end
// with a block for each, no record is packed more than some ten times, and at
// the end of a day there are never more than some ten small blocks.
func (s *usageSQLite) merge(x tx, b *usageBlock) error {
	before, err := s.lastBlocks(x, b.day)
	if err != nil {
		return err
	}
	for _, old := range before {
		if old.records > mergeRatio*b.records || old.records+b.records > s.blockRecords {
			return nil
		}
		if taken, err := s.take(x, b, &old); err != nil || !taken {
			return err
		}
	}
	return nil
}

// take takes a stored block into b. It reports false of one that is damaged,
// which stays where it is.
func (s *usageSQLite) take(x tx, b *usageBlock, old *storedBlock) (bool, error) {
	encoded, err := s.unpack(x, old, nil)
	if err != nil || encoded == nil {
		return false, err
	}
	if err := remove(x, old.lastAt, old.id); err != nil {
		return false, err
	}
	b.encoded = append(encoded, b.encoded...)
	b.stretch(old.firstAt, old.lastAt, old.records)
	b.marks.addStored(old.marks)
	return true, nil
}

// remove removes a stored block.
func remove(x tx, lastAt, id int64) error {
	if _, err := x.exec("DELETE FROM usage_blocks WHERE last_at = $1 AND id = $2", lastAt, id); err != nil {
		return err
	}
	_, err := x.exec("DELETE FROM usage_packed WHERE id = $1", id)
	return err
}

// lastBlocks are the last blocks of a day, the last one first: as many as can
// be small.
func (s *usageSQLite) lastBlocks(x tx, day int64) ([]storedBlock, error) {
	found, err := x.query(`SELECT last_at, id, first_at, records, marks FROM usage_blocks
		WHERE last_at >= $1 AND last_at < $2 ORDER BY last_at DESC, id DESC LIMIT 12`, day, day+dayMicros)
	return scanBlocks(found, err)
}
