package admin

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"llmproxy/config"
	"llmproxy/store"
	"llmproxy/usage"
)

// maxPage is how many records an answer has at most.
const maxPage = 1000

// requestView is a record as answers show it.
type requestView struct {
	RequestID     string     `json:"request_id"`
	At            time.Time  `json:"at"`
	KeyID         int64      `json:"api_key_id"`
	KeyName       string     `json:"api_key_name"`
	Endpoint      string     `json:"endpoint"`
	Model         string     `json:"model"`
	UpstreamModel string     `json:"upstream_model"`
	Provider      string     `json:"provider"`
	Status        int        `json:"status"`
	Stream        bool       `json:"stream"`
	Attempts      int        `json:"attempts"`
	Prompt        int64      `json:"prompt_tokens"`
	Completion    int64      `json:"completion_tokens"`
	Cached        int64      `json:"cached_tokens"`
	Reasoning     int64      `json:"reasoning_tokens"`
	Source        string     `json:"source"`
	TTFT          *float64   `json:"ttft_ms"` // null: nothing was streamed
	Duration      float64    `json:"duration_ms"`
	Overhead      int64      `json:"overhead_us"`
	Outcome       string     `json:"outcome"`
	Cost          config.USD `json:"cost_usd"`
}

func viewRequest(r *usage.Record) requestView {
	v := requestView{
		RequestID: r.RequestID, At: r.At.UTC(), KeyID: r.APIKeyID, KeyName: r.APIKeyName, Endpoint: r.Endpoint,
		Model: r.Model, UpstreamModel: r.UpstreamModel, Provider: r.Provider, Status: r.Status, Stream: r.Stream,
		Attempts: r.Attempts, Prompt: r.Prompt, Completion: r.Completion, Cached: r.Cached, Reasoning: r.Reasoning,
		Source: r.Source.String(), Duration: milliseconds(r.Duration), Overhead: r.Overhead.Microseconds(),
		Outcome: r.Result(), Cost: config.USD(r.CostMicroUSD),
	}
	if r.TTFT > 0 {
		ms := milliseconds(r.TTFT)
		v.TTFT = &ms
	}
	return v
}

// requestPage is the answer of GET /admin/v1/requests.
type requestPage struct {
	From       time.Time     `json:"from"`
	To         time.Time     `json:"to"`
	Requests   []requestView `json:"requests"`
	NextCursor *string       `json:"next_cursor"` // null: there are no more
}

// listRequests answers GET /admin/v1/requests.
func (a *API) listRequests(x *call) (int, any, error) {
	if a.Usage == nil {
		return 0, nil, errNoLedger
	}
	q := ask(x.http, "from", "to", "key", "key_name", "model", "provider", "endpoint", "outcome", "limit", "cursor", "format")
	filter, limit, after, csv := q.filter(a.Now()), q.limit(), q.cursor(), q.wantsCSV()
	if err := q.problems.Err(); err != nil {
		return 0, nil, err
	}
	ctx, done, err := a.beginReport()
	if err != nil {
		return 0, nil, a.aboutUsage(x, err)
	}
	defer done()
	if err := a.findKey(ctx, q, &filter); err != nil {
		return 0, nil, err
	}
	// One more than is shown tells whether there is a next page.
	records, err := a.Usage.Latest(ctx, filter, after, limit+1)
	if err != nil {
		return 0, nil, a.aboutUsage(x, err)
	}
	var next *string
	if len(records) > limit {
		records = records[:limit]
		next = cursorBehind(&records[limit-1])
	}
	if csv {
		return 200, requestTable(records, next), nil
	}
	page := requestPage{From: filter.From, To: filter.To, Requests: make([]requestView, len(records)), NextCursor: next}
	for i := range records {
		page.Requests[i] = viewRequest(&records[i])
	}
	return 200, page, nil
}

// A cursor is a record's time in microseconds and its id, eight bytes each, in
// base64: a client need not know.
const cursorBytes = 16

func cursorBehind(r *usage.Record) *string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorBytes), uint64(r.At.UnixMicro()))
	text := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(b, r.ID))
	return &text
}

// cursor reads where the page begins; without one it is the newest record.
func (q *question) cursor() (after store.UsageCursor) {
	q.read("cursor", func(value string) string {
		b, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil || len(b) != cursorBytes {
			return "must be the next_cursor of a page"
		}
		at := time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
		if at.Year() < 1970 || at.Year() > 9000 {
			return "must be the next_cursor of a page"
		}
		after = store.UsageCursor{At: at, ID: binary.BigEndian.Uint64(b[8:])}
		return ""
	})
	return after
}
