package admin

import (
	"strconv"
	"time"

	"github.com/goccy/go-json"

	"llmproxy/config"
)

// The readers below turn a field's JSON into its place in T. null is a value
// of none of them: only what may be absent for good reads it itself.

type setter[T any] = func(to *T, name string, raw []byte) config.Problems

func readString[T any](place func(*T) *string) setter[T] {
	return func(to *T, name string, raw []byte) config.Problems {
		var s string
		if json.Unmarshal(raw, &s) != nil || config.KindOf(raw) != "a string" {
			return wrong(name, "a string", raw)
		}
		*place(to) = s
		return nil
	}
}

func readBool[T any](place func(*T) *bool) setter[T] {
	return func(to *T, name string, raw []byte) config.Problems {
		switch string(raw) {
		case "true", "false":
			*place(to) = string(raw) == "true"
			return nil
		}
		return wrong(name, "a boolean", raw)
	}
}

// readInt reads whole numbers written as such: 1.0 and 1e3 are none.
func readInt[T any, N int | int64](place func(*T) *N) setter[T] {
	return func(to *T, name string, raw []byte) config.Problems {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return wrong(name, "a whole number", raw)
		}
		*place(to) = N(n)
		return nil
	}
}

// readLimit reads a whole number that may be null: no limit.
func readLimit[T any](place func(*T) **int64) setter[T] {
	return orNull(place, func(limit *int64) setter[T] { return readInt(func(*T) *int64 { return limit }) })
}

// readOptionalUSD reads an amount that may be null.
func readOptionalUSD[T any](place func(*T) **config.USD) setter[T] {
	return orNull(place, func(amount *config.USD) setter[T] { return readUSD(func(*T) *config.USD { return amount }) })
}

// orNull reads a value with the setter that read makes for it, or null as nil.
func orNull[T, V any](place func(*T) **V, read func(*V) setter[T]) setter[T] {
	return func(to *T, name string, raw []byte) config.Problems {
		if string(raw) == "null" {
			*place(to) = nil
			return nil
		}
		value := new(V)
		*place(to) = value
		return read(value)(to, name, raw)
	}
}

// readUSD reads US dollars written as a number: 2.5.
func readUSD[T any](place func(*T) *config.USD) setter[T] {
	return func(to *T, name string, raw []byte) config.Problems {
		amount, err := config.ParseUSD(string(raw))
		if err != nil {
			return config.Problems{{Field: name, Message: err.Error()}}
		}
		*place(to) = amount
		return nil
	}
}

// readTime reads a moment as RFC 3339 writes it, to the millisecond; null is
// the zero time.
func readTime[T any](place func(*T) *time.Time) setter[T] {
	return func(to *T, name string, raw []byte) config.Problems {
		if string(raw) == "null" {
			*place(to) = time.Time{}
			return nil
		}
		var at time.Time
		if config.KindOf(raw) != "a string" || json.Unmarshal(raw, &at) != nil || at.Year() < 1970 {
			return config.Problems{{Field: name, Message: "must be a time such as 2026-01-31T12:00:00Z, or null"}}
		}
		*place(to) = at.UTC().Truncate(time.Millisecond)
		return nil
	}
}

// wrong is the problem of a value of another type than wanted.
func wrong(name, wanted string, raw []byte) config.Problems {
	message := "must be " + wanted
	if kind := config.KindOf(raw); kind != "a number" || wanted != "a whole number" {
		message += ", not " + kind
	}
	return config.Problems{{Field: name, Message: message}}
}
