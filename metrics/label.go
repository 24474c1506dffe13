package metrics

import (
	"strings"
	"sync"
)

// Label is the value of a label, interned: comparing and hashing a Key costs
// no string.
type Label uint32

// The values that need no interning.
const (
	None      Label = iota // "none": there was no provider, no model
	Other                  // "other": something that is not in the configuration
	Anonymous              // "anonymous": a client without a key, where that is allowed
	reserved
)

// Label interns a value. It takes a lock: resolve labels when a table is built.
// What is interned stays; only the configuration's names belong here.
func (r *Registry) Label(value string) Label { return r.labels.intern(value) }

type labelTable struct {
	mu     sync.Mutex
	ids    map[string]Label
	quoted []string // by Label: ready to print, with the quotes
}

func (t *labelTable) init() {
	t.ids = map[string]Label{}
	for _, value := range [reserved]string{"none", "other", "anonymous"} {
		t.intern(value)
	}
}

func (t *labelTable) intern(value string) Label {
	// Two values that print alike must be one label: a scrape with the same
	// series twice is refused as a whole.
	value = strings.ToValidUTF8(value, "\uFFFD")
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.ids[value]
	if !ok {
		l = Label(len(t.quoted))
		value = strings.Clone(value) // the caller's may be a view of a buffer
		t.ids[value] = l
		t.quoted = append(t.quoted, string(appendQuoted(nil, value)))
	}
	return l
}

// render returns `name="value",…` of alternating names (string) and values (Label).
func (t *labelTable) render(pairs ...any) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, pairs[i].(string)...)
		b = append(b, '=')
		b = append(b, t.quoted[pairs[i+1].(Label)]...)
	}
	return string(b)
}

// appendQuoted appends a label's value as the text format wants it: three
// characters are escaped, everything else stands for itself. (strconv.Quote's \u
// and \x are not understood there.)
func appendQuoted(dst []byte, value string) []byte {
	dst = append(dst, '"')
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
