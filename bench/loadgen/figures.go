package loadgen

import (
	"encoding/json"
	"time"
)

// Format names the shape of the JSON. A field may be added to it; one that
// goes, or means something else, changes the number.
const Format = "llm-proxy-bench/1"

// figures is a target in JSON: times in nanoseconds, by measure and quantile.
type figures struct {
	URL        string                              `json:"url"`
	Requests   int64                               `json:"requests"`
	Right      int64                               `json:"right"`
	Faults     map[string]int64                    `json:"faults"`
	WarmFaults int64                               `json:"warm_up_faults"`
	Answered   float64                             `json:"answered_per_second"`
	Waited     int64                               `json:"waited"`
	Reconnects int64                               `json:"reconnects"`
	Opened     int64                               `json:"connections_opened"`
	Skewed     int64                               `json:"before_they_were_sent"`
	Took       time.Duration                       `json:"took_ns"`
	LateP99    time.Duration                       `json:"sent_late_p99_ns"`
	Times      map[string]map[string]time.Duration `json:"times_ns"`
}

// runFigures is a report in JSON.
type runFigures struct {
	Rate         float64                     `json:"rate"` // 0 of a closed loop
	Closed       bool                        `json:"closed"`
	Poisson      bool                        `json:"poisson"`
	Time         time.Duration               `json:"time_ns"`
	Warm         time.Duration               `json:"warm_ns"`
	Timeout      time.Duration               `json:"timeout_ns"`
	Connections  int                         `json:"connections"`
	Fresh        bool                        `json:"fresh"`
	Model        string                      `json:"model"`
	Stream       bool                        `json:"stream"`
	PromptBytes  int                         `json:"prompt_bytes"`
	AnswerTokens int                         `json:"answer_tokens"`
	Rounds       int                         `json:"rounds"`
	Targets      []figures                   `json:"targets"`
	Ratio        map[string]map[string]Ratio `json:"ratio,omitempty"` // of the first target to the second
}

// MarshalJSON implements json.Marshaler.
func (s Sweep) MarshalJSON() ([]byte, error) {
	out := struct {
		Format string       `json:"format"`
		Runs   []runFigures `json:"runs"`
	}{Format, []runFigures{}}
	for _, r := range s {
		out.Runs = append(out.Runs, r.figures())
	}
	return json.Marshal(out)
}

func (r *Report) figures() runFigures {
	p := &r.Plan
	out := runFigures{
		Rate: p.Rate, Closed: p.Closed, Poisson: p.Poisson, Time: p.Time, Warm: p.Warm, Timeout: p.Timeout,
		Connections: p.Connections, Fresh: p.Fresh, Model: p.Model, Stream: p.Stream,
		PromptBytes: p.PromptBytes, AnswerTokens: p.AnswerTokens, Rounds: len(r.Targets[0].Rounds),
	}
	for i := range r.Targets {
		out.Targets = append(out.Targets, r.Targets[i].figures(p))
	}
	for _, m := range measures {
		if !r.ratios(m) {
			continue
		}
		if out.Ratio == nil {
			out.Ratio = map[string]map[string]Ratio{}
		}
		out.Ratio[m.name] = map[string]Ratio{}
		for _, s := range shares {
			out.Ratio[m.name][s.name] = r.ratio(m, s.q)
		}
	}
	return out
}

func (m *Measured) figures(p *Plan) figures {
	sum := m.Sum()
	f := figures{
		URL: m.Name, Requests: sum.Requests, Right: sum.Right, Faults: sum.Faults, WarmFaults: sum.WarmFaults,
		Answered: m.answered(p), Waited: sum.Waited, Reconnects: sum.Reconnects, Opened: sum.Opened, Skewed: sum.Skewed,
		Took: sum.Took, LateP99: sum.Late.Quantile(0.99), Times: map[string]map[string]time.Duration{},
	}
	if f.Faults == nil {
		f.Faults = map[string]int64{}
	}
	for _, m := range measures {
		h := m.of(sum)
		if h.Count() == 0 {
			continue
		}
		f.Times[m.name] = map[string]time.Duration{}
		for _, s := range shares {
			f.Times[m.name][s.name] = h.Quantile(s.q)
		}
	}
	return f
}
