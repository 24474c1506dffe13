package admin

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/goccy/go-json"

	"llmproxy/config"
	"llmproxy/health"
)

// Prober makes real calls with few tokens.
type Prober interface {
	// Check asks what the query names and returns when all is known or ctx
	// ends. It reports the providers that were asked for and exist.
	Check(ctx context.Context, query health.Query) *health.Report
}

const (
	defaultProbeTimeout = 10 * time.Second
	maxProbeTimeout     = 120
	defaultProbes       = 8
	maxProbes           = 64
	maxProbed           = 1000 // names in one query
	probeGrace          = 5 * time.Second
)

// probeFields is what a body of health/check may hold.
var probeFields = []field[health.Query]{
	{"provider_ids", false, readIDs},
	{"models", false, readModels},
	{"timeout_secs", false, func(q *health.Query, name string, raw []byte) config.Problems {
		var secs int64
		problems := readWithin(&secs, maxProbeTimeout, name, raw)
		q.Timeout = time.Duration(secs) * time.Second
		return problems
	}},
	{"max_concurrent", false, func(q *health.Query, name string, raw []byte) config.Problems {
		var n int64
		problems := readWithin(&n, maxProbes, name, raw)
		q.MaxConcurrent = int(n)
		return problems
	}},
}

// readWithin reads a whole number from 1 to most.
func readWithin(to *int64, most int64, name string, raw []byte) config.Problems {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 1 || n > most {
		return config.Problems{{Field: name, Message: "must be a whole number from 1 to " + strconv.FormatInt(most, 10)}}
	}
	*to = n
	return nil
}

func readIDs(q *health.Query, name string, raw []byte) config.Problems {
	var ids []json.RawMessage
	if json.Unmarshal(raw, &ids) != nil || ids == nil || len(ids) > maxProbed {
		return config.Problems{{Field: name, Message: "must be a list of at most 1000 ids"}}
	}
	for _, one := range ids {
		id, err := strconv.ParseInt(string(bytes.TrimSpace(one)), 10, 64)
		if err != nil || id < 1 {
			return config.Problems{{Field: name, Message: "must be a list of ids, whole numbers from 1"}}
		}
		q.ProviderIDs = append(q.ProviderIDs, id)
	}
	return nil
}

func readModels(q *health.Query, name string, raw []byte) config.Problems {
	var models []json.RawMessage
	if json.Unmarshal(raw, &models) != nil || models == nil || len(models) > maxProbed {
		return config.Problems{{Field: name, Message: "must be a list of at most 1000 names"}}
	}
	for _, one := range models {
		var model string
		if problems := readString(func(*health.Query) *string { return &model })(q, name, one); len(problems) > 0 || model == "" {
			return config.Problems{{Field: name, Message: "must be a list of names of models"}}
		}
		q.Models = append(q.Models, model)
	}
	return nil
}

func defaultQuery() health.Query {
	return health.Query{Timeout: defaultProbeTimeout, MaxConcurrent: defaultProbes}
}

// checkHealth answers POST /admin/v1/health/check.
func (a *API) checkHealth(x *call) (int, any, error) {
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	query := defaultQuery()
	if len(bytes.TrimSpace(body)) > 0 {
		d := parse(body, probeFields)
		nothing := func(*health.Query) config.Problems { return nil }
		if problems := d.judge(&query, nothing); len(problems) > 0 {
			return 0, nil, problems
		}
	}
	report, err := a.probe(query)
	if err != nil {
		return 0, nil, err
	}
	return 200, report, nil
}

// checkProvider answers GET /admin/v1/health/providers/{id}.
func (a *API) checkProvider(x *call) (int, any, error) {
	id, err := x.objectID("provider")
	if err != nil {
		return 0, nil, err
	}
	query := defaultQuery()
	query.ProviderIDs = []int64{id}
	report, err := a.probe(query)
	if err != nil {
		return 0, nil, err
	}
	return 200, report.Providers[0], nil
}

// probe asks the prober, and refuses an id that it did not report.
func (a *API) probe(query health.Query) (*health.Report, error) {
	ctx, cancel := context.WithTimeout(a.Context, query.Timeout+probeGrace)
	defer cancel()
	report := a.Prober.Check(ctx, query)
	known := map[int64]bool{}
	for _, p := range report.Providers {
		known[p.ID] = true
	}
	for _, id := range query.ProviderIDs {
		if !known[id] {
			return nil, noSuch("provider", strconv.FormatInt(id, 10))
		}
	}
	return report, nil
}
