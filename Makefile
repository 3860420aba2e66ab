LINT_VERSION = v2.15.0
LINT = bin/golangci-lint-$(LINT_VERSION)

.PHONY: build test race lint fmt fuzz bench soak demo demo-lab accuracy differential image ci

build: ; CGO_ENABLED=0 go build -trimpath -o bin/whybot .
test: ; scripts/test.sh $(TESTFLAGS)
race: ; scripts/test.sh -race $(TESTFLAGS)
lint: $(LINT) ; $(LINT) fmt --diff && $(LINT) run ./...
fmt: $(LINT) ; $(LINT) fmt
fuzz: ; scripts/fuzz.sh
# What CI runs a hundred times, a thousand times; about half an hour.
soak: ; WHYBOT_KILLS=1000 go test ./commands -run TestKilledAtEveryStep -count=1 -timeout 2h -v
bench: ; go test -run '^$$' -bench . -benchmem ./...
demo: ; go run . demo --script
demo-lab: build ; go run ./internal/lab/cmd/demolab -whybot bin/whybot
accuracy: build ; go run ./internal/lab/cmd/accuracy -whybot bin/whybot $(ARGS)
differential: ; go run ./internal/lab/cmd/differential $(DIFFFLAGS)
image: ; docker build -t whybot .
ci: ; .ci/run

# Installed, not required in go.mod: the linter has more dependencies than whybot.
$(LINT): ; GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) && mv bin/golangci-lint $@
