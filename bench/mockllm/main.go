// Command mockllm is a cheap model provider to measure a gateway with: it
// answers every POST at once, or after -delay, with a chat completion of a
// fixed size, or with a stream of events at a fixed pace if the request asks
// to stream.
//
//	mockllm -addr 127.0.0.1:9000 -answer 1024 -events 100 -gap 20ms
//
// llm-proxy mock is the same provider with everything that it can do.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"time"

	"llmproxy/bench/mockllm/provider"
	"llmproxy/downstream"
)

func main() {
	var o provider.Options
	addr := flag.String("addr", "127.0.0.1:9000", "address to listen on")
	flag.IntVar(&o.Bytes, "answer", 1024, "bytes of an answer that is not streamed")
	flag.IntVar(&o.Tokens, "events", 100, "events of a stream")
	flag.DurationVar(&o.Latency, "delay", 0, "time until the head of an answer")
	flag.DurationVar(&o.Interval, "gap", 20*time.Millisecond, "pause between two of them")
	flag.Var(&o.Stamp, "stamp", "where events say when they were sent: off, field or content")
	flag.Parse()
	o.Model = "mock"
	if err := o.Check(); err != nil {
		log.Fatal(err)
	}

	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("mockllm on", ln.Addr())
	log.Fatal(provider.New(o).Serve(downstream.NewListener(ln, downstream.Options{})))
}
