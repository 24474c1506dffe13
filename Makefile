# llm-proxy: what is done with the project, by name. `make help` lists it.
# Building and running need Go and make; testing finds or installs the rest.

SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL    := go tool -modfile=tools/go.mod

FUZZTIME ?= 30s
BENCH    ?= .
COUNT    ?= 6
IMAGE    ?= llm-proxy
K6_RUNS  := $(patsubst bench/k6/%.js,k6-%,$(filter-out %/gateway.js,$(wildcard bench/k6/*.js)))

.DEFAULT_GOAL := help
.PHONY: help run build test test-short coverage format lint check fuzz bench bench-compare bench-baseline guard guard-update docker reproducible vulncheck clean k6 $(K6_RUNS)

help: ## list these targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: build ## build, and serve on http://127.0.0.1:18000 with an embedded store in ./data
	bin/llm-proxy serve

build: ## make bin/llm-proxy: static, stripped, with its version
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/llm-proxy ./cmd/llm-proxy

test: ## every test under the race detector, with real neighbours (installed if they are missing)
	scripts/test.sh

test-short: ## what needs no neighbours and no time
	go test -short ./...

coverage: ## coverage.html and the total
	scripts/test-setup.sh
	go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -html=coverage.out -o coverage.html
	@go tool cover -func=coverage.out | tail -n 1

format: ## gofumpt on everything
	$(TOOL) gofumpt -w .

lint: ## vet, staticcheck, gofumpt, tidy modules, shell syntax
	scripts/lint.sh

check: lint test ## what must pass before a change is shown to anyone

fuzz: ## every fuzz target for FUZZTIME each (30s)
	scripts/fuzz.sh $(FUZZTIME)

bench: ## Go benchmarks matching BENCH, COUNT times, summed up by benchstat; see bench/ for whole-program loads
	@mkdir -p dist
	set -o pipefail; go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./... | tee dist/bench.txt
	$(TOOL) benchstat dist/bench.txt

k6: ## make bin/k6, the load tester; make k6-smoke API_KEY=... runs a script of bench/k6
	go -C tools/k6 build -trimpath -ldflags '-s -w' -o ../../bin/k6 go.k6.io/k6

$(K6_RUNS): k6-%: k6
	K6_NO_USAGE_REPORT=true bin/k6 run bench/k6/$*.js

bench-compare: ## benchmarks of BASE (HEAD) and of the working tree in turn; BENCH, PKGS, COUNT narrow them
	BASE='$(BASE)' BENCH='$(BENCH)' PKGS='$(PKGS)' COUNT=$(COUNT) scripts/bench-compare.sh

bench-baseline: ## measure this machine for bench/results; nothing else should run
	COUNT=$(COUNT) scripts/bench-baseline.sh

guard: ## fail when a hot leaf executes or allocates more than bench/results/guard.txt says
	scripts/guard.sh

guard-update: ## write what the leaves cost into bench/results/guard.txt
	scripts/guard.sh -update

docker: ## build the image IMAGE (llm-proxy), tagged with the version
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE):$(VERSION) .

reproducible: ## build twice in two folders, and compare the bytes
	scripts/reproducible.sh

vulncheck: ## known vulnerabilities that the program reaches; asks vuln.go.dev
	$(TOOL) govulncheck ./...

clean: ## remove what was built and measured
	rm -rf bin dist coverage.out coverage.html
