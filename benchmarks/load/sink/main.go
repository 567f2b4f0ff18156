// Takes OTLP over gRPC, counts it, and behaves as badly as it is told to over HTTP:
//
//	GET  /counts                       what came so far, as JSON
//	GET  /identities                   one byte for each number: how often "identity-000000000123" was taken (255: more)
//	POST /behave?as=ok                 answer, after delay_ms=… if it is given
//	POST /behave?as=unavailable        refuse everything for now
//	POST /behave?as=forgetful          count, then say UNAVAILABLE: the answer got lost
//	POST /behave?as=down               do not even listen
//
// A request that holds the text "reject-for-good" is answered with INVALID_ARGUMENT whenever this one listens.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"otel-ml/benchmarks/load/rawbytes"
)

var services = map[string]string{
	"logs":    "opentelemetry.proto.collector.logs.v1.LogsService",
	"metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
	"traces":  "opentelemetry.proto.collector.trace.v1.TraceService",
}

var (
	marker   = []byte("identity-")
	rejected = []byte("reject-for-good")
)

const (
	digits      = 12
	maxIdentity = 50_000_000
)

type counts struct {
	Requests map[string]uint64 `json:"requests"`
	Items    map[string]uint64 `json:"items"`
	Bytes    uint64            `json:"bytes"`
	Refused  uint64            `json:"refused"`
	Rejected uint64            `json:"rejected"`
}

type sink struct {
	mutex      sync.Mutex
	counts     counts
	identities []byte
	behaviour  string
	delay      time.Duration
	address    string
	server     *grpc.Server
	watches    bool
}

func main() {
	watches := flag.Bool("identities", false, "count every record's identity")
	flag.Parse()
	s := &sink{
		counts:    counts{Requests: map[string]uint64{}, Items: map[string]uint64{}},
		behaviour: "ok", address: "127.0.0.1:0", watches: *watches,
	}
	if err := s.listen(); err != nil {
		fail(err)
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	http.HandleFunc("GET /counts", s.giveCounts)
	http.HandleFunc("GET /identities", s.giveIdentities)
	http.HandleFunc("POST /behave", s.behave)
	fmt.Printf("{\"otlp\": %q, \"control\": %q}\n", s.address, control.Addr().String())
	fail(http.Serve(control, nil))
}

func (s *sink) listen() error {
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.address = listener.Addr().String()
	s.server = grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.MaxRecvMsgSize(1<<28))
	for signal, service := range services {
		s.server.RegisterService(&grpc.ServiceDesc{
			ServiceName: service,
			HandlerType: (*any)(nil),
			Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: s.handler(signal)}},
		}, s)
	}
	go s.server.Serve(listener)
	return nil
}

func (s *sink) handler(signal string) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var body []byte
		if err := decode(&body); err != nil {
			return nil, err
		}
		return s.export(ctx, signal, body)
	}
}

func (s *sink) export(ctx context.Context, signal string, body []byte) (any, error) {
	s.mutex.Lock()
	behaviour, delay := s.behaviour, s.delay
	s.mutex.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	isRejected := bytes.Contains(body, rejected)
	items := countItems(body)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if isRejected {
		s.counts.Rejected++
		return nil, status.Error(codes.InvalidArgument, "a record that nobody wants")
	}
	if behaviour == "unavailable" {
		s.counts.Refused++
		return nil, status.Error(codes.Unavailable, "told to be")
	}
	s.counts.Requests[signal]++
	s.counts.Items[signal] += items
	s.counts.Bytes += uint64(len(body))
	if s.watches {
		s.identify(body)
	}
	if behaviour == "forgetful" {
		return nil, status.Error(codes.Unavailable, "told to say so")
	}
	answer := []byte{}
	return &answer, nil
}

func (s *sink) identify(body []byte) {
	for {
		found := bytes.Index(body, marker)
		if found < 0 || len(body) < found+len(marker)+digits {
			return
		}
		body = body[found+len(marker):]
		number, err := strconv.Atoi(string(body[:digits]))
		if err != nil || number >= maxIdentity {
			continue
		}
		for number >= len(s.identities) {
			s.identities = append(s.identities, make([]byte, 1<<16)...)
		}
		if s.identities[number] < 255 {
			s.identities[number]++
		}
	}
}

func (s *sink) giveCounts(answer http.ResponseWriter, _ *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	json.NewEncoder(answer).Encode(s.counts)
}

func (s *sink) giveIdentities(answer http.ResponseWriter, _ *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	answer.Write(s.identities)
}

func (s *sink) behave(answer http.ResponseWriter, request *http.Request) {
	wanted := request.FormValue("as")
	delayMs, _ := strconv.Atoi(request.FormValue("delay_ms"))
	switch wanted {
	case "ok", "unavailable", "forgetful", "down":
	default:
		http.Error(answer, fmt.Sprintf("%q is no behaviour", wanted), http.StatusBadRequest)
		return
	}
	s.mutex.Lock()
	server := s.server
	was := s.behaviour
	s.behaviour, s.delay = wanted, time.Duration(delayMs)*time.Millisecond
	s.mutex.Unlock()
	if wanted == "down" && was != "down" {
		// Not while holding the lock: it waits for calls that are under way, which need it.
		server.Stop()
	}
	if wanted != "down" && was == "down" {
		if err := s.listen(); err != nil {
			http.Error(answer, err.Error(), http.StatusConflict)
		}
	}
}

// Spans, log records or metrics in a request: all three have them three levels down, in fields 1, 2 and 2.
func countItems(body []byte) uint64 {
	var count uint64
	each(body, 1, func(resource []byte) {
		each(resource, 2, func(scope []byte) {
			each(scope, 2, func([]byte) { count++ })
		})
	})
	return count
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "sink:", err)
	os.Exit(1)
}
