package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxModelBytes = 256

// ParseMapping reads a model_mapping: an object from public names to the
// provider's own. Types are checked here, names by Provider.Validate.
func ParseMapping(raw []byte) (map[string]string, Problems) {
	var problems Problems
	members, twice, err := Members(raw)
	if err != nil {
		problems.add("model_mapping", err.Error())
		return nil, problems
	}
	mapping := make(map[string]string, len(members))
	for _, m := range members {
		var to string
		if kind := KindOf(m.Value); kind != "a string" || json.Unmarshal(m.Value, &to) != nil {
			problems.add(mappingField(m.Name), "must be a string, not "+kind)
		}
		mapping[m.Name] = to
	}
	for _, name := range twice {
		problems.add(mappingField(name), "given twice")
	}
	return mapping, problems
}

// ParseModels reads an allowed_models: a list of names. Types are checked
// here, names by Credential.Validate.
func ParseModels(raw []byte) ([]string, Problems) {
	var problems Problems
	if kind := KindOf(raw); kind != "a list" {
		problems.add("allowed_models", "must be a list of strings, not "+kind)
		return nil, problems
	}
	var values []json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		problems.add("allowed_models", "must be a list of strings")
		return nil, problems
	}
	models := make([]string, len(values))
	for i, value := range values {
		if kind := KindOf(value); kind != "a string" || json.Unmarshal(value, &models[i]) != nil {
			problems.add(allowedField(i), "must be a string, not "+kind)
		}
	}
	return models, problems
}

func mappingField(name string) string { return "model_mapping[" + Quoted(name) + "]" }
func allowedField(i int) string       { return fmt.Sprintf("allowed_models[%d]", i) }

// checkModel says what is wrong with a model's name; it may be a pattern, one
// '*' at the end.
func checkModel(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case len(name) > maxModelBytes:
		return fmt.Sprintf("must be at most %d bytes", maxModelBytes)
	case !utf8.ValidString(name):
		return "must be valid UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "must not hold control characters"
	case strings.Contains(strings.TrimSuffix(name, "*"), "*"):
		return "may hold one * only, at the end"
	}
	return ""
}

// Quoted shows a name in a field: as it is when it is plain, else in Go's
// quotes, and never empty or long.
func Quoted(name string) string {
	if name == "" {
		return `""`
	}
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:61], "") + "..."
	}
	for _, r := range name {
		if r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(`"[]`, r) {
			return fmt.Sprintf("%+q", name)
		}
	}
	return name
}
