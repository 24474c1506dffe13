// Package tracing tells an OpenTelemetry collector of requests: one SERVER
// span for each that is sampled, with a CLIENT span below it for each attempt
// at a provider.
//
//	Begin      on the request's path: reads traceparent, decides; nil is no
//	Next       before an attempt: the span that the provider is told of
//	Sent       the attempt has its answer's head, or failed
//	End        hands all of it over, and never waits
//	build      one goroutine: makes SDK spans of what was handed over
//	exporter   the SDK's batch processor and OTLP over HTTP, from there on
//
// A span is made when its request has ended, from times and names that were
// noted on the way; until then a Trace is plain memory of the request's own. A
// nil *Tracer traces nothing.
//
// What is told is names, numbers and times. No prompt, no answer and no key is
// given to this package, and texts that come from outside (a provider's name of
// a model, a request id) are cut to a length and to printable characters.
package tracing
