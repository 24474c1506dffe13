package admin

import (
	"strconv"

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

// wrong is the problem of a value of another type than wanted.
func wrong(name, wanted string, raw []byte) config.Problems {
	message := "must be " + wanted
	if kind := config.KindOf(raw); kind != "a number" || wanted != "a whole number" {
		message += ", not " + kind
	}
	return config.Problems{{Field: name, Message: message}}
}
