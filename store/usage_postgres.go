package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// usagePostgres is the usage of a fleet. Records are in partitions by the day
// (UTC), which gateways make before they need them and drop whole.
type usagePostgres struct {
	*postgres

	mu   sync.Mutex         // guards what follows
	made map[time.Time]bool // days whose partition is there
}

const (
	partitionPrefix = "usage_records_p"
	partitionDay    = "20060102"

	// partitionLock keeps gateways that make the same partition apart.
	partitionLock = 0x6c6c6d2d75736167
	// dropLock is how long removing a partition may wait for those who read it,
	// and keep others waiting.
	dropLock = "1s"
)

// update implements backend: what another gateway committed is seen, whatever
// the server's default is.
func (p *usagePostgres) update(ctx context.Context, patience patience, f func(tx) error) error {
	return p.run(ctx, patience, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
}

func (p *usagePostgres) second(t time.Time) any { return t.UTC() }
func (p *usagePostgres) secondText(column string) string {
	return "extract(epoch FROM " + column + ")::bigint"
}
func (p *usagePostgres) close() {} // the pool is the Store's

// ready implements usageDialect.
func (p *usagePostgres) ready(ctx context.Context, days []time.Time) error {
	for _, d := range days {
		if p.has(d) {
			continue
		}
		if err := p.makePartition(ctx, d); err != nil {
			return fmt.Errorf("partition of usage_records for %s: %w", d.Format(time.DateOnly), err)
		}
		p.note(d)
	}
	return nil
}

func (p *usagePostgres) has(d time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made[d]
}

func (p *usagePostgres) note(d time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made == nil || len(p.made) > sumDays {
		p.made = map[time.Time]bool{}
	}
	p.made[d] = true
}

func (p *usagePostgres) forgetPartitions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = nil
}

// makePartition makes the partition of a day unless it is there. A table that
// is attached, other than one that is made in its place, does not keep those
// waiting who use the others.
func (p *usagePostgres) makePartition(ctx context.Context, d time.Time) error {
	name := partitionPrefix + d.Format(partitionDay)
	return p.update(ctx, loading, func(x tx) error {
		if _, err := x.exec("SELECT pg_advisory_xact_lock($1)", int64(partitionLock)); err != nil {
			return err
		}
		var exists bool
		if err := readOne(x, []any{&exists}, "SELECT to_regclass($1) IS NOT NULL", name); err != nil || exists {
			return err
		}
		if _, err := x.exec("CREATE TABLE " + name + " (LIKE usage_records INCLUDING ALL)"); err != nil {
			return err
		}
		const bound = "2006-01-02 15:04:05+00"
		_, err := x.exec(fmt.Sprintf("ALTER TABLE usage_records ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')",
			name, d.Format(bound), d.AddDate(0, 0, 1).Format(bound)))
		return err
	})
}

// insert implements usageDialect.
func (p *usagePostgres) insert(x tx, b *usageBatch) error {
	records := b.records()
	if len(records) == 0 {
		return nil
	}
	at, row := 0, make([]any, 0, len(usageColumns))
	t := x.(pgTx)
	_, err := t.tx.CopyFrom(t.ctx, pgx.Identifier{"usage_records"}, usageColumns, pgx.CopyFromFunc(func() ([]any, error) {
		if at == len(records) {
			return nil, nil
		}
		row = usageValues(append(row[:0], records[at].At), &records[at])
		at++
		return row, nil
	}))
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return pgError(err)
	}
	switch {
	case said.Code == "23514" && said.ConstraintName == "":
		p.forgetPartitions()
		return unavailable(errors.New("a partition of usage_records was removed just now"))
	case strings.HasPrefix(said.Code, "22"), strings.HasPrefix(said.Code, "23"):
		return refused(pgError(err))
	}
	return pgError(err)
}

// addSums takes a row apart into arrays, one a column.
const addSums = `INSERT INTO TABLE (SPAN, ` + usageKeyColumns + `, ` + usageSumColumns + `)
	SELECT * FROM unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
		$8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
		$14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[])` + usageConflict

// add implements usageDialect.
func (p *usagePostgres) add(x tx, sums *usageSums) error {
	if err := addTo(x, byHour, sums.byHour()); err != nil {
		return err
	}
	return addTo(x, byDay, sums.byDay())
}

// settled implements usageDialect.
func (p *usagePostgres) settled(context.Context) error { return nil }

// addTo adds to the rows of one table, in the order of their keys.
func addTo(x tx, to usageSpan, sums []*usageSum) error {
	if len(sums) == 0 {
		return nil
	}
	froms, keys := make([]time.Time, len(sums)), make([]int64, len(sums))
	var texts [5][]string
	var numbers [10][]int64
	for i, sum := range sums {
		froms[i], keys[i] = time.Unix(sum.from, 0).UTC(), sum.keyID
		for c, text := range sum.texts() {
			texts[c] = append(texts[c], text)
		}
		for c, n := range sum.numbers() {
			numbers[c] = append(numbers[c], n)
		}
	}
	args := []any{froms, keys}
	for _, column := range texts {
		args = append(args, column)
	}
	for _, column := range numbers {
		args = append(args, column)
	}
	_, err := x.exec(to.of(addSums), args...)
	return err
}

// tidy implements usageDialect: days are dropped whole. One that is being read
// stays until the next time.
func (p *usagePostgres) tidy(ctx context.Context, from time.Time) (bool, error) {
	names, err := p.partitions(ctx)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		d, err := time.Parse(partitionDay, strings.TrimPrefix(name, partitionPrefix))
		if err != nil || !strings.HasPrefix(name, partitionPrefix) || !d.Before(from) {
			continue // not ours, or not old
		}
		err = p.update(ctx, loading, func(x tx) error {
			if _, err := x.exec("SET LOCAL lock_timeout = '" + dropLock + "'"); err != nil {
				return err
			}
			_, err := x.exec("DROP TABLE IF EXISTS " + name)
			return err
		})
		if err != nil {
			return false, fmt.Errorf("drop %s: %w", name, err)
		}
	}
	return false, nil
}

func (p *usagePostgres) partitions(ctx context.Context) (names []string, err error) {
	err = p.view(ctx, loading, func(x tx) error {
		found, err := x.query(`SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = 'usage_records'::regclass`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var name string
			if err := found.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return found.Err()
	})
	return names, err
}
