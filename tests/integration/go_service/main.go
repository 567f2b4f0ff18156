// A model server in Go that knows nothing of otel-ml: two histograms of the official SDK, and no other library.
//
// It serves -rows rows in each of -exports export intervals, then ends. The values are those of a linear congruential
// generator, so that a test knows what to expect. Where to send to, and everything else, is told by the environment, as
// of any program with the SDK: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, …
package main

import (
	"context"
	"flag"
	"log"
	"math"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	rows := flag.Int("rows", 1000, "rows in each export interval")
	exports := flag.Int("exports", 3, "export intervals")
	shift := flag.Float64("shift", 0, "added to the logarithm of every amount")
	seed := flag.Uint64("seed", 1, "of the values")
	exponential := flag.Bool("exponential", false, "aggregate into exponential histograms")
	flag.Parse()
	if err := serve(context.Background(), *rows, *exports, *shift, *seed, *exponential); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, rows, exports int, shift float64, seed uint64, exponential bool) error {
	exporter, err := otlpmetricgrpc.New(ctx)
	if err != nil {
		return err
	}
	options := []sdk.Option{sdk.WithReader(sdk.NewPeriodicReader(exporter))}
	if exponential {
		options = append(options, sdk.WithView(sdk.NewView(
			sdk.Instrument{Kind: sdk.InstrumentKindHistogram},
			sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}},
		)))
	}
	provider := sdk.NewMeterProvider(options...)
	meter := provider.Meter("payments")
	feature, err := meter.Float64Histogram("ml.feature.value")
	if err != nil {
		return err
	}
	prediction, err := meter.Float64Histogram("ml.prediction.value")
	if err != nil {
		return err
	}
	model := []attribute.KeyValue{
		attribute.String("ml.model.name", "fraud"), attribute.String("ml.model.version", "3"),
	}
	amounts := metric.WithAttributes(append(model, attribute.String("ml.feature.name", "amount"))...)
	predictions := metric.WithAttributes(model...)
	random := generator{state: seed}
	for range exports {
		for range rows {
			amount := math.Exp(4.5 + shift + random.normal())
			feature.Record(ctx, amount, amounts)
			prediction.Record(ctx, amount/1000, predictions)
		}
		if err := provider.ForceFlush(ctx); err != nil {
			return err
		}
	}
	return provider.Shutdown(ctx)
}

// Numbers that are the same on every machine; by Knuth's constants.
type generator struct{ state uint64 }

func (g *generator) uniform() float64 {
	g.state = g.state*6364136223846793005 + 1442695040888963407
	return (float64(g.state>>11) + 0.5) / (1 << 53)
}

func (g *generator) normal() float64 {
	return math.Sqrt(-2*math.Log(g.uniform())) * math.Cos(2*math.Pi*g.uniform())
}
