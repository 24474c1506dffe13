// Package openai is the wire format of OpenAI's HTTP API as a gateway needs
// it: to look into a request without decoding it, to change two values in it
// without touching another byte, to follow a streamed answer event by event,
// to find the token counts, and to speak errors that SDKs turn into their
// typed exceptions.
//
// Request and Splice are the way in, Splitter, EventData and Delta the way
// back of a stream, ParseUsage and ValidJSON that of a whole answer, Error
// what the gateway says itself. All of them stand on one scanner (cursor)
// that checks the full grammar of RFC 8259 in one pass, without recursion and
// with a cap on the depth.
//
// The package knows neither providers nor connections nor clients. It keeps
// no byte that it is given: what it returns are views into the caller's
// buffers, valid as long as those are.
package openai
