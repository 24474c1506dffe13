package tracing

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// What OpenTelemetry has no name for.
const (
	keyRequestID  = attribute.Key("llm_proxy.request.id")
	keyUpstreamID = attribute.Key("llm_proxy.upstream.request.id")
	keyKeyName    = attribute.Key("llm_proxy.api_key.name")
	keyProvider   = attribute.Key("llm_proxy.provider")
	keyOutcome    = attribute.Key("llm_proxy.outcome")
	keyRetries    = attribute.Key("llm_proxy.retries")
	keyFirstToken = attribute.Key("llm_proxy.time_to_first_token")
	keyOverhead   = attribute.Key("llm_proxy.overhead")
	keySource     = attribute.Key("llm_proxy.usage.source")
	keyCost       = attribute.Key("llm_proxy.cost_usd")

	eventHead       = "llm_proxy.response_head"
	eventFirstToken = "llm_proxy.first_token"
)

// maxText is how much of a text a span shows.
const maxText = 256

// text makes a text fit for a span: what is not UTF-8 would cost the whole
// batch, and what came from outside may be long.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// given is the SDK's source of ids: those that the spans have already.
type given struct{}

type givenKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements sdk.IDGenerator.
func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	own, _ := ctx.Value(givenKey{}).(ids)
	return own.trace, own.span
}

// NewSpanID implements sdk.IDGenerator.
func (given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	own, _ := ctx.Value(givenKey{}).(ids)
	return own.span
}

// tell hands the spans of a trace to the SDK.
func (t *Tracer) tell(tr *Trace) {
	ctx := context.Background()
	if tr.parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: tr.id, SpanID: tr.parent, TraceFlags: trace.FlagsSampled, TraceState: tr.state, Remote: true,
		}))
	}
	ctx, server := t.spans.Start(context.WithValue(ctx, givenKey{}, ids{tr.id, tr.span}), "POST "+tr.Route,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(tr.Start), trace.WithAttributes(tr.attributes()...))
	if tr.Status >= 500 || tr.Error == truncated {
		server.SetStatus(codes.Error, tr.Error)
	}
	for i := range tr.attempts {
		t.tellAttempt(ctx, tr, i)
	}
	server.End(trace.WithTimestamp(tr.End))
}

// truncated is the Error of an answer that broke off: its status is 200.
const truncated = "truncated"

// operation is what OpenTelemetry calls an endpoint.
func operation(route string) string {
	switch strings.TrimPrefix(route, "/v1/") {
	case "chat/completions", "responses":
		return "chat"
	case "completions":
		return "text_completion"
	case "embeddings":
		return "embeddings"
	}
	return strings.ReplaceAll(strings.TrimPrefix(route, "/v1/"), "/", "_")
}

// attributes are those of the SERVER span.
func (tr *Trace) attributes() []attribute.KeyValue {
	a := []attribute.KeyValue{
		semconv.HTTPRequestMethodPost, semconv.HTTPRoute(tr.Route), semconv.URLPath(tr.Route),
		semconv.HTTPResponseStatusCode(tr.Status),
		semconv.GenAIOperationNameKey.String(operation(tr.Route)), semconv.GenAIRequestStream(tr.Stream),
		keyRequestID.String(text(tr.ID)), keyOutcome.String(tr.Outcome), keyRetries.Int(max(0, tr.Attempts-1)),
		keyOverhead.Float64(tr.Overhead.Seconds()), keySource.String(tr.Usage.Source),
	}
	a = appendText(a, semconv.GenAIRequestModelKey, tr.Model)
	a = appendText(a, keyKeyName, tr.KeyName)
	a = appendText(a, semconv.ErrorTypeKey, tr.Error)
	if tr.FirstToken > 0 {
		a = append(a, keyFirstToken.Float64(tr.FirstToken.Seconds()))
	}
	if tr.Usage.CostMicroUSD > 0 {
		a = append(a, keyCost.Float64(float64(tr.Usage.CostMicroUSD)/1e6))
	}
	return a
}

func appendText(a []attribute.KeyValue, key attribute.Key, s string) []attribute.KeyValue {
	if s == "" {
		return a
	}
	return append(a, key.String(text(s)))
}

// tellAttempt makes the CLIENT span of the i-th attempt. The last is that whose
// answer the client got: it has what the answer says of itself, and what it
// took, so that sums over spans count it once.
func (t *Tracer) tellAttempt(ctx context.Context, tr *Trace, i int) {
	a, name := &tr.attempts[i], operation(tr.Route)
	if a.Model != "" {
		name += " " + text(a.Model)
	}
	about := a.attributes(tr.Route, i)
	last := i == len(tr.attempts)-1
	if last {
		about = tr.appendAnswer(about)
	}
	_, span := t.spans.Start(context.WithValue(ctx, givenKey{}, ids{tr.id, a.span}), name,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(time.Unix(0, a.Start)), trace.WithAttributes(about...))
	if a.Head > 0 {
		span.AddEvent(eventHead, trace.WithTimestamp(time.Unix(0, a.Head)))
	}
	if first := tr.Start.Add(tr.FirstToken); last && tr.FirstToken > 0 {
		span.SetAttributes(semconv.GenAIResponseTimeToFirstChunk(max(0, first.Sub(time.Unix(0, a.Start)).Seconds())))
		span.AddEvent(eventFirstToken, trace.WithTimestamp(first))
	}
	if a.Error != "" {
		span.SetStatus(codes.Error, a.Error)
	}
	end := tr.End
	if a.End > 0 {
		end = time.Unix(0, a.End)
	}
	span.End(trace.WithTimestamp(end))
}

// attributes are those of a CLIENT span, whose attempt is the i-th, from 0.
func (a *Attempt) attributes(route string, i int) []attribute.KeyValue {
	about := []attribute.KeyValue{
		semconv.GenAIOperationNameKey.String(operation(route)), semconv.HTTPRequestMethodPost, keyProvider.String(text(a.Provider)),
	}
	about = appendText(about, semconv.GenAIProviderNameKey, a.Vendor)
	about = appendText(about, semconv.GenAIRequestModelKey, a.Model)
	about = appendText(about, semconv.ErrorTypeKey, a.Error)
	about = appendText(about, keyUpstreamID, a.RequestID)
	if u, err := url.Parse(a.Base); err == nil {
		about = appendText(about, semconv.ServerAddressKey, u.Hostname())
		if port, err := strconv.Atoi(u.Port()); err == nil {
			about = append(about, semconv.ServerPort(port))
		}
	}
	if a.Status > 0 {
		about = append(about, semconv.HTTPResponseStatusCode(a.Status))
	}
	if i > 0 {
		about = append(about, semconv.HTTPRequestResendCount(i))
	}
	return about
}

// appendAnswer appends what the answer says, and what it took.
func (tr *Trace) appendAnswer(about []attribute.KeyValue) []attribute.KeyValue {
	about = appendText(about, semconv.GenAIResponseIDKey, tr.Response.ID)
	about = appendText(about, semconv.GenAIResponseModelKey, tr.Response.Model)
	if reasons := tr.Response.FinishReasons; len(reasons) > 0 {
		shown := make([]string, 0, len(reasons))
		for _, r := range reasons {
			shown = append(shown, text(r))
		}
		about = append(about, semconv.GenAIResponseFinishReasons(shown...))
	}
	u := &tr.Usage
	if u.Source == "" || u.Source == "none" {
		return about
	}
	about = append(about, semconv.GenAIUsageInputTokens(int(u.Input)), semconv.GenAIUsageOutputTokens(int(u.Output)))
	if u.Cached > 0 {
		about = append(about, semconv.GenAIUsageCacheReadInputTokens(int(u.Cached)))
	}
	if u.Reasoning > 0 {
		about = append(about, semconv.GenAIUsageReasoningOutputTokens(int(u.Reasoning)))
	}
	return about
}
