package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Member is one name with its value in a JSON object, the value as written.
type Member struct {
	Name  string
	Value []byte
}

// Members splits a JSON object into its members, in the order written.
//
// Every name appears once; those that were written more often are in twice:
// which of the two values counts differs between readers, so nobody may guess.
// The error says what is wrong with raw without repeating any of it.
func Members(raw []byte) (members []Member, twice []string, err error) {
	switch kind := KindOf(raw); kind {
	case "an object":
	case notJSON:
		return nil, nil, errNotJSON
	default:
		return nil, nil, errors.New("must be an object, not " + kind)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, nil, errNotJSON
	}
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, nil, errNotJSON
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, nil, errNotJSON
		}
		m := Member{Name: name.(string), Value: value}
		if seen[m.Name] {
			twice = append(twice, m.Name)
			continue
		}
		seen[m.Name] = true
		members = append(members, m)
	}
	return members, twice, nil
}

const notJSON = "invalid JSON"

var errNotJSON = errors.New("must be valid JSON in UTF-8")

// KindOf names the kind of a JSON value as a message does: "a string",
// "null"; anything that is not one whole JSON value in UTF-8 is "invalid JSON".
func KindOf(raw []byte) string {
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return notJSON
	}
	switch bytes.TrimLeft(raw, " \t\r\n")[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
