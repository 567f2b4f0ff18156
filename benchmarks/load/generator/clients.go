package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"otel-ml/benchmarks/load/rawbytes"
)

const timeout = 30 * time.Second

// One connection to the server under test.
type client interface {
	// The encoded response, or why there is none, in a word.
	export(body []byte) (answer []byte, refused string)
}

type grpcClient struct {
	connection *grpc.ClientConn
	method     string
}

func newGrpcClient(target, signal string) (client, error) {
	method := map[string]string{
		"logs":    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
		"metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
		"traces":  "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
	}[signal]
	connection, err := grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{}), grpc.MaxCallRecvMsgSize(1<<26)),
		grpc.WithDisableRetry())
	if err != nil {
		return nil, err
	}
	connection.Connect()
	return grpcClient{connection, method}, nil
}

func (c grpcClient) export(body []byte) ([]byte, string) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var answer []byte
	if err := c.connection.Invoke(ctx, c.method, &body, &answer); err != nil {
		return nil, status.Code(err).String()
	}
	return answer, ""
}

type httpClient struct {
	client *http.Client
	url    string
}

// HTTP/1.1 has one request under way on a connection, so each client has as many connections as streams.
func newHttpClient(target, signal string, streams int) client {
	transport := &http.Transport{MaxIdleConnsPerHost: streams, DisableCompression: true}
	return httpClient{&http.Client{Transport: transport, Timeout: timeout}, "http://" + target + "/v1/" + signal}
}

func (c httpClient) export(body []byte) ([]byte, string) {
	response, err := c.client.Post(c.url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		return nil, "NoAnswer"
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Sprintf("HTTP%d", response.StatusCode)
	}
	return answer, ""
}
