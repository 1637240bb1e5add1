# One door: `make check`. It installs what the tests need (scripts/tools), then formats, vets, lints and tests.

GO      ?= go
PKGS    := ./...
BIN     := bin/whosaw
FUZZ    ?= 60s

.PHONY: all build check tools fmt vet lint test vuln fuzz bench kill example clean

all: build

build: ## the binary, bin/whosaw
	$(GO) build -trimpath -o $(BIN) ./cmd/whosaw

check: tools fmt vet lint test vuln ## everything a change must pass

tools: ## what the tests need beside Go
	scripts/tools

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; echo "run: gofmt -w ."; exit 1; fi

vet:
	$(GO) vet $(PKGS)

lint:
	$(GO) tool staticcheck $(PKGS)

test:
	$(GO) test -race -timeout 15m $(PKGS)

# The database of known faults is a web site: without it the check says so and goes on.
vuln:
	@scripts/vuln

fuzz: ## each fuzzer for FUZZ (60s)
	scripts/fuzz $(FUZZ)

bench: ## our figures beside the peer's
	scripts/bench

kill: ## kill -9 in a loop during `investigate --data`, longer than the test does
	$(GO) test ./cmd/whosaw -run TestKill -count=1 -v -whosaw.kills=200

example: ## makes examples/ again from the generator
	$(GO) test ./internal/market -run Example -count=1 -update

clean:
	rm -rf bin out
