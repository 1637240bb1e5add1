# One door: `make check`. It installs what the tests need (scripts/tools), then formats, vets, lints and tests.

GO      ?= go
PKGS    := ./...
BIN     := bin/whosaw
FUZZ    ?= 60s
TORTURE ?= 10m
REPLAY  ?= 1
NOTICES ?= 100000

# Packages that start no goroutine and whose tests compute for long: the race detector would see nothing in them, and makes
# them several times slower. What others do with them among goroutines is under it in the others' tests. TestCalm holds
# the list to this.
CALM := internal/detect internal/reference internal/catalog internal/issued

.PHONY: all build check tools fmt vet lint test vuln fuzz bench bench-check bench-parts bench-peers bench-100m bench-1000m replay-full bench-serve kill torture notices example clean

all: build

build: ## the binary, bin/whosaw
	$(GO) build -trimpath -o $(BIN) ./cmd/whosaw

check: tools fmt vet lint test bench-check vuln ## everything a change must pass

tools: ## what the tests need beside Go
	scripts/tools

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; echo "run: gofmt -w ."; exit 1; fi

# Vetted and linted as they are tested, with -race, so that everything is compiled once.
vet:
	$(GO) vet -race $(PKGS)

lint:
	GOFLAGS="$$($(GO) env GOFLAGS) -race" $$($(GO) tool -n staticcheck) $(PKGS)

test: ## vetted before, by vet
	$(GO) test -vet=off -timeout 25m -race $$($(GO) list $(PKGS) | grep -vE "/($$(echo $(CALM) | tr ' ' '|'))$$")
	$(GO) test -vet=off -timeout 25m $(addprefix ./,$(CALM))

# The database of known faults is a web site: without it the check says so and goes on.
vuln:
	@scripts/vuln

fuzz: ## each fuzzer for FUZZ (60s)
	scripts/fuzz $(FUZZ)

bench: bench-parts bench-peers ## our figures beside the peers'

bench-parts: ## each part alone, and investigate beside a pipeline
	scripts/bench

bench-peers: ## beside DuckDB, 10 million accesses
	scripts/bench-peers -n 10000000

bench-100m: ## beside DuckDB, 100 million accesses: an hour, 12 GB below BENCH_DIR (default: the system's temporary directory)
	scripts/bench-peers -n 100000000 -runs 3 $(if $(BENCH_DIR),-dir $(BENCH_DIR))

bench-1000m: ## whosaw alone, 1,000 million accesses: some hours, 25 GB
	scripts/bench-peers -n 1000000000 -engines whosaw -runs 3 -cold 1 -lines 0 $(if $(BENCH_DIR),-dir $(BENCH_DIR))

replay-full: ## the case at full size, 226 million accesses of the attack in a billion: some hours, 25 GB; REPLAY=100 is 1:100
	scripts/bench-peers -case -n $$((1000000000 / $(REPLAY))) -engines whosaw $(if $(BENCH_DIR),-dir $(BENCH_DIR))

bench-serve: ## a server under load over HTTP for ten minutes: accesses a second, memory
	$(GO) test ./cmd/whosaw -run '^$$' -bench 'Serve$$' -benchtime 1x -timeout 30m -v -whosaw.serve=10m

bench-check: ## the comparison builds and its engines agree; skipped without a C compiler
	scripts/bench-peers check

kill: ## kill -9 in a loop during `investigate --data`, longer than the test does
	$(GO) test ./cmd/whosaw -run TestKill -count=1 -v -whosaw.kills=200

torture: ## kill -9 under load for TORTURE (10m) each: the ledger, every record looked at, and the server
	$(GO) test ./internal/ledger -run 'TestTorture$$' -count=1 -v -timeout 0 -ledger.torture=$(TORTURE)
	$(GO) test ./cmd/whosaw -run TestServeTorture -count=1 -v -timeout 0 -whosaw.torture=$(TORTURE)

notices: ## 100,000 notices through a real postfix with kill -9 at random moments, and how many it takes an hour: a quarter of an hour
	$(GO) test ./cmd/whosaw -run 'TestNoticeKill$$|TestNoticeSpeed' -count=1 -v -timeout 0 -whosaw.notices=$(NOTICES) -whosaw.noticekills=40

example: ## makes examples/ again from the generator
	$(GO) test ./internal/sim -run Example -count=1 -update

clean:
	rm -rf bin out
