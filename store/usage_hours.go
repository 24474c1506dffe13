package store

import "time"

// usageHours tells, from the sums, in which hours there are records that a
// filter means: blocks of other hours need not be unpacked. Marks cannot tell
// that of two things that are both in a block, such as a model and an outcome,
// no record has both.
type usageHours struct {
	filter UsageFilter
	oldest int64              // sums of this day and later ones are all there, in seconds of Unix time
	owed   map[int64]bool     // hours of which usage_owed has sums, in seconds; nil: not looked at yet
	days   map[int64][24]bool // what is known, by the day in seconds
}

// vainBlocks is how many blocks are unpacked one after the other for nothing
// before the sums are asked.
const vainBlocks = 4

func newUsageHours(f UsageFilter, now time.Time) *usageHours {
	return &usageHours{filter: f, oldest: day(now).AddDate(0, 0, 1-sumDays).Unix(), days: map[int64][24]bool{}}
}

// mayHave reports whether there may be a record in a block that is meant.
func (h *usageHours) mayHave(x tx, b *storedBlock) (bool, error) {
	since := time.UnixMicro(dayOf(b.lastAt)).Unix()
	if since < h.oldest {
		return true, nil
	}
	hours, known := h.days[since]
	if !known {
		var err error
		if hours, err = h.ask(x, since); err != nil {
			return false, err
		}
		h.days[since] = hours
	}
	first, last := hourOf(b.firstAt, since), hourOf(b.lastAt, since)
	for hour := first; hour <= last; hour++ {
		if hours[hour] {
			return true, nil
		}
	}
	return false, nil
}

// hourOf is which hour of a day a time is in.
func hourOf(at, day int64) int { return int((time.UnixMicro(at).Unix() - day) / 3600) }

// ask reads the sums of one day.
func (h *usageHours) ask(x tx, since int64) (hours [24]bool, err error) {
	if err := h.noteOwed(x); err != nil {
		return hours, err
	}
	for i := range hours {
		hours[i] = h.owed[since+int64(i)*3600]
	}
	w := &where{}
	w.filter(h.filter)
	w.add("day = ", since)
	var some bool
	if err := readOne(x, []any{&some}, "SELECT EXISTS (SELECT 1 FROM usage_daily"+w.text()+")", w.args...); err != nil || !some {
		return hours, err
	}
	w = &where{}
	w.filter(h.filter)
	w.add("hour >= ", since)
	w.add("hour < ", since+86400)
	found, err := x.query("SELECT DISTINCT hour FROM usage_hourly"+w.text(), w.args...)
	if err != nil {
		return hours, err
	}
	defer found.Close()
	for found.Next() {
		var hour int64
		if err := found.Scan(&hour); err != nil {
			return hours, err
		}
		hours[(hour-since)/3600] = true
	}
	return hours, found.Err()
}

// noteOwed notes the hours of what is in no sum yet.
func (h *usageHours) noteOwed(x tx) error {
	if h.owed != nil {
		return nil
	}
	owed, err := readOwed(x, func(error) {}) // settle says so
	if err != nil {
		return err
	}
	h.owed = map[int64]bool{}
	for k := range owed.byKey {
		h.owed[k.from] = true
	}
	return nil
}
