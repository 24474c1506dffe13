package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
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
	switch m.Name {
	case streamRecovery:
		return p.setRecovery(m)
	case healthCheck:
		return p.setHealthCheck(m)
	}
	known := []string{streamRecovery, healthCheck}
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

// The parameters that are no numbers.
const (
	streamRecovery = "stream_recovery"
	healthCheck    = "health_check"
)

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

// maxCheckSecs is the longest interval between two health checks: a day.
const maxCheckSecs = 24 * 60 * 60

func (p *Params) setHealthCheck(m Member) string {
	if string(m.Value) == "null" {
		return ""
	}
	members, twice, err := Members(m.Value)
	if err != nil {
		return "must be an object: " + err.Error()
	}
	if len(twice) > 0 {
		return Quoted(twice[0]) + " is given twice"
	}
	var check HealthCheck
	for _, one := range members {
		if why := check.set(one); why != "" {
			return Quoted(one.Name) + ": " + why
		}
	}
	if why := check.validate(); why != "" {
		return why
	}
	if check != (HealthCheck{}) {
		p.HealthCheck = &check
	}
	return ""
}

func (c *HealthCheck) set(m Member) string {
	switch m.Name {
	case "interval_secs":
		n, err := strconv.ParseInt(string(m.Value), 10, 64)
		if err != nil {
			return wantNumber(1, maxCheckSecs)
		}
		c.IntervalSecs = n
	case "path":
		if json.Unmarshal(m.Value, &c.Path) != nil {
			return "must be a string"
		}
	case "model":
		if json.Unmarshal(m.Value, &c.Model) != nil {
			return "must be a string"
		}
	default:
		return Unknown(m.Name, []string{"interval_secs", "path", "model"})
	}
	return ""
}

// validate says what is wrong with the check, or "". An empty one is none.
func (c *HealthCheck) validate() string {
	if *c == (HealthCheck{}) {
		return ""
	}
	if why := between(c.IntervalSecs, 1, maxCheckSecs); why != "" {
		return "interval_secs: " + why
	}
	switch {
	case c.Path != "" && c.Model != "":
		return "path and model exclude each other"
	case c.Path != "" && !strings.HasPrefix(c.Path, "/"), strings.ContainsFunc(c.Path, unfitForPath):
		return "path must begin with a slash and hold only visible ASCII characters"
	}
	return checkOptionalModel(c.Model)
}

func unfitForPath(r rune) bool { return r <= ' ' || r > '~' || r == '#' }

func checkOptionalModel(name string) string {
	if name == "" {
		return ""
	}
	if why := checkModel(name); why != "" {
		return "model: " + why
	}
	return ""
}

const wantRecovery = `must be "none", "splice" or "hold"`

// validate checks the bounds of what is set.
func (p *Params) validate() Problems {
	var problems Problems
	if _, ok := ParseRecovery(string(p.StreamRecovery)); !ok && p.StreamRecovery != "" {
		problems.add(paramsField+"."+streamRecovery, wantRecovery)
	}
	if p.HealthCheck != nil {
		problems.add(paramsField+"."+healthCheck, p.HealthCheck.validate())
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
