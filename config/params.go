package config

import (
	"encoding/json"
	"fmt"
	"strconv"
)

const (
	paramsField = "provider_params"

	maxParamMS     = 24 * 60 * 60 * 1000 // a day: longer is a slip of the keyboard
	maxConcurrency = 1_000_000
)

// param is one name of provider_params with its place and its upper bound.
type param struct {
	name  string
	value **int64
	most  int64
}

// list names every parameter once; parsing, checking and the suggestions for
// a misspelt name all read it.
func (p *Params) list() []param {
	return []param{
		{"connect_timeout_ms", &p.ConnectTimeoutMS, maxParamMS},
		{"write_timeout_ms", &p.WriteTimeoutMS, maxParamMS},
		{"first_byte_timeout_ms", &p.FirstByteTimeoutMS, maxParamMS},
		{"first_event_timeout_ms", &p.FirstEventTimeoutMS, maxParamMS},
		{"idle_timeout_ms", &p.IdleTimeoutMS, maxParamMS},
		{"total_timeout_ms", &p.TotalTimeoutMS, maxParamMS},
		{"max_concurrency", &p.MaxConcurrency, maxConcurrency},
	}
}

// ParseParams reads provider_params strictly: an unknown name, a name given
// twice, or a value that is not a whole number in range is a problem.
// Nothing at all is an empty object.
func ParseParams(raw []byte) (Params, Problems) {
	var p Params
	if len(raw) == 0 {
		return p, nil
	}
	var problems Problems
	members, twice, err := Members(raw)
	if err != nil {
		problems.add(paramsField, err.Error())
		return Params{}, problems
	}
	for _, m := range members {
		problems.add(paramsField+"."+Quoted(m.Name), p.set(m))
	}
	for _, name := range twice {
		problems.add(paramsField+"."+Quoted(name), "given twice")
	}
	problems = append(problems, p.validate()...)
	return p, problems
}

// set gives one parameter its value, or says why not.
func (p *Params) set(m Member) string {
	if m.Name == streamRecovery {
		return p.setRecovery(m)
	}
	known := []string{streamRecovery}
	for _, one := range p.list() {
		if one.name == m.Name {
			if string(m.Value) == "null" {
				return "" // as absent: the default
			}
			n, err := strconv.ParseInt(string(m.Value), 10, 64)
			if err != nil {
				return wantNumber(0, one.most)
			}
			*one.value = &n
			return ""
		}
		known = append(known, one.name)
	}
	return Unknown(m.Name, known)
}

// streamRecovery is the one parameter that is no number.
const streamRecovery = "stream_recovery"

func (p *Params) setRecovery(m Member) string {
	if string(m.Value) == "null" {
		return ""
	}
	var name string
	_ = json.Unmarshal(m.Value, &name) // what is no string is no name either
	r, ok := ParseRecovery(name)
	if !ok {
		return wantRecovery
	}
	p.StreamRecovery = r
	return ""
}

const wantRecovery = `must be "none", "splice" or "hold"`

// validate checks the bounds of what is set.
func (p *Params) validate() Problems {
	var problems Problems
	if _, ok := ParseRecovery(string(p.StreamRecovery)); !ok && p.StreamRecovery != "" {
		problems.add(paramsField+"."+streamRecovery, wantRecovery)
	}
	for _, one := range p.list() {
		if v := *one.value; v != nil {
			problems.add(paramsField+"."+one.name, between(*v, 0, one.most))
		}
	}
	return problems
}

// JSON returns the parameters that are set, as ParseParams reads them.
func (p Params) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("BUG: provider_params do not encode: %s", err))
	}
	return b
}
