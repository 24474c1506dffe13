package config

import "strings"

// Problem is one fault in what was declared: where, and what is wanted there.
// A message never repeats a value, for the value may be a secret.
type Problem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Problems are all faults of one check, in the order of the fields.
// As an error they are one line.
type Problems []Problem

// Error implements error.
func (p Problems) Error() string {
	var b strings.Builder
	for i, one := range p {
		if i > 0 {
			b.WriteString("; ")
		}
		if one.Field != "" {
			b.WriteString(one.Field)
			b.WriteString(": ")
		}
		b.WriteString(one.Message)
	}
	return b.String()
}

// Err returns the problems as an error, or nil when there are none. A nil
// Problems in an error variable would not be nil: always go through Err.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// add notes a problem, unless message is empty: the checks of this package
// answer with the message, and "" is their content.
func (p *Problems) add(field, message string) {
	if message != "" {
		*p = append(*p, Problem{Field: field, Message: message})
	}
}

// within returns the problems with their fields hung under prefix.
func (p Problems) within(prefix string) Problems {
	hung := make(Problems, len(p))
	for i, one := range p {
		hung[i] = Problem{Field: prefix + "." + one.Field, Message: one.Message}
	}
	return hung
}
