// Sends prepared OTLP requests over gRPC or HTTP, as fast as answers come or at a given rate, and says what came of them.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type report struct {
	Acked     uint64             `json:"acked"`
	Bytes     uint64             `json:"bytes"`
	Refused   map[string]uint64  `json:"refused"`
	Seconds   float64            `json:"seconds"`
	LatencyMs map[string]float64 `json:"latency_ms"`
}

type generator struct {
	load        load
	join        uint64
	connections []client
	next        atomic.Uint64
	ackedBytes  atomic.Uint64
	mutex       sync.Mutex
	latencies   []time.Duration
	refused     map[string]uint64
}

func main() {
	target := flag.String("target", "", "host:port")
	signal := flag.String("signal", "logs", "logs, metrics or traces")
	bodies := flag.String("bodies", "", "file of prepared requests")
	protocol := flag.String("protocol", "grpc", "grpc or http")
	connections := flag.Int("connections", 4, "connections")
	streams := flag.Int("streams", 8, "requests under way on each of them (closed loop)")
	rate := flag.Float64("rate", 0, "requests a second (open loop); 0: as fast as answers come")
	seconds := flag.Float64("seconds", 5, "for how long")
	requests := flag.Uint64("requests", 0, "stop after so many; 0: when the time is over")
	producers := flag.Uint64("producers", 1, "producers for each body")
	join := flag.Uint64("join", 1, "bodies in a request")
	flag.Parse()

	templates, err := readTemplates(*bodies)
	if err != nil {
		fail(err)
	}
	run := rand.Uint64()
	g := &generator{
		load:    load{templates: templates, producers: *producers, run: run},
		join:    max(*join, 1),
		refused: map[string]uint64{},
	}
	if !strings.Contains(" logs metrics traces ", " "+*signal+" ") {
		fail(fmt.Errorf("-signal: %q is none (logs, metrics, traces)", *signal))
	}
	for range *connections {
		if *protocol == "http" {
			g.connections = append(g.connections, newHttpClient(*target, *signal, *streams))
			continue
		}
		connection, err := newGrpcClient(*target, *signal)
		if err != nil {
			fail(err)
		}
		g.connections = append(g.connections, connection)
	}
	begun := time.Now()
	end := begun.Add(time.Duration(*seconds * float64(time.Second)))
	if *rate > 0 {
		g.open(*rate, end, *requests)
	} else {
		g.closed(*streams, end, *requests)
	}
	took := time.Since(begun).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(g.report(took)); err != nil {
		fail(err)
	}
}

// Each stream sends its next request when it has the answer to the last one.
func (g *generator) closed(streams int, end time.Time, requests uint64) {
	var waiting sync.WaitGroup
	for _, connection := range g.connections {
		for range streams {
			waiting.Go(func() {
				var scratch []byte
				for time.Now().Before(end) {
					n := g.next.Add(1) - 1
					if requests > 0 && n >= requests {
						return
					}
					body := g.load.request(n, g.join, &scratch)
					if !g.send(connection, body, time.Now()) {
						// Whoever is refused at once would only burn the processor time that is measured here.
						time.Sleep(5 * time.Millisecond)
					}
				}
			})
		}
	}
	waiting.Wait()
}

// Requests leave when their time has come, whatever became of earlier ones, and their latency counts from then: a
// server that stands still for a moment makes all of them late that should have been sent meanwhile.
func (g *generator) open(rate float64, end time.Time, requests uint64) {
	var waiting sync.WaitGroup
	due := time.Now()
	for n := uint64(0); due.Before(end) && (requests == 0 || n < requests); n++ {
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		waiting.Add(1)
		go func(n uint64, due time.Time) {
			defer waiting.Done()
			var scratch []byte
			g.send(g.connections[n%uint64(len(g.connections))], g.load.request(n, g.join, &scratch), due)
		}(n, due)
		due = due.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
	}
	waiting.Wait()
}

func (g *generator) send(connection client, body []byte, due time.Time) bool {
	answer, refused := connection.export(body)
	took := time.Since(due)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if refused != "" {
		g.refused[refused]++
		return false
	}
	// An answer without a partial success, or with an empty one, as Collectors give it, means that all was taken.
	if len(answer) > 0 && !bytes.Equal(answer, []byte{0x0a, 0x00}) {
		g.refused["PartialSuccess"]++
		return true
	}
	g.latencies = append(g.latencies, took)
	g.ackedBytes.Add(uint64(len(body)))
	return true
}

func (g *generator) report(took float64) report {
	sort.Slice(g.latencies, func(a, b int) bool { return g.latencies[a] < g.latencies[b] })
	latency := map[string]float64{}
	if count := len(g.latencies); count > 0 {
		for name, share := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1} {
			position := min(int(share*float64(count)), count-1)
			latency[name] = float64(g.latencies[position].Microseconds()) / 1000
		}
	}
	return report{uint64(len(g.latencies)), g.ackedBytes.Load(), g.refused, took, latency}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "generator:", err)
	os.Exit(1)
}
