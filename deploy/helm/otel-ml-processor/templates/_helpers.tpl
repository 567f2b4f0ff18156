{{/* The name of everything of a release. */}}
{{- define "processor.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "processor.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "processor.labels" -}}
{{ include "processor.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "processor.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "processor.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What cannot work, said before anything is installed. */}}
{{- define "processor.check" -}}
{{- if not .Values.config.exporters -}}
{{- fail "config.exporters: is empty (say where results go, for example otlp_grpc: {endpoint: https://backend.example:4317})" -}}
{{- end -}}
{{- $tls := .Values.receiver.tls -}}
{{- $known := or .Values.receiver.auth.secretName $tls.clientCertificates -}}
{{- if and $tls.clientCertificates (not $tls.secretName) -}}
{{- fail "receiver.tls.clientCertificates: needs receiver.tls.secretName (a secret with tls.crt, tls.key and ca.crt)" -}}
{{- end -}}
{{- if not (or .Values.receiver.allowInsecure (and $tls.secretName $known)) -}}
{{- fail "receiver: would take telemetry in plain text or from everybody (set receiver.tls.secretName with receiver.auth.secretName or receiver.tls.clientCertificates; or receiver.allowInsecure: true, behind a mesh or a network policy)" -}}
{{- end -}}
{{- if hasKey .Values.config.service "shutdown_timeout" -}}
{{- fail "config.service.shutdown_timeout: is shutdownTimeoutSeconds here (Kubernetes has to know of it, too)" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.sharedOutByCollector) -}}
{{- fail "replicas: more than one pod needs a Collector before them that gives each its share of the models (deploy/collector/load-balanced.yaml; then set sharedOutByCollector: true). Behind a plain Service each model would be in several pods, each with a part of its rows" -}}
{{- end -}}
{{- end -}}

{{/* One server: a protocol of the receiver, or the console. Takes a dict of `values` and `port`. */}}
{{- define "processor.server" -}}
{{- $receiver := .values.receiver -}}
endpoint: 0.0.0.0:{{ .port }}
{{- if $receiver.tls.secretName }}
tls:
  cert_file: /mnt/tls/tls.crt
  key_file: /mnt/tls/tls.key
  {{- if $receiver.tls.clientCertificates }}
  client_ca_file: /mnt/tls/ca.crt
  {{- end }}
{{- end }}
{{- if $receiver.auth.secretName }}
auth:
  bearer_token_file: /mnt/token/{{ $receiver.auth.key }}
{{- end }}
{{- if $receiver.allowInsecure }}
allow_insecure: true
{{- end }}
{{- end -}}

{{/* The whole configuration: the chart's part, with the user's laid over it. */}}
{{- define "processor.config" -}}
{{- $exporters := keys .Values.config.exporters | sortAlpha -}}
{{- $protocols := dict "grpc" (include "processor.server" (dict "values" .Values "port" 4317) | fromYaml) -}}
{{- if .Values.receiver.http -}}
{{- $_ := set $protocols "http" (include "processor.server" (dict "values" .Values "port" 4318) | fromYaml) -}}
{{- end -}}
{{- $paths := list -}}
{{- range .Values.baselines -}}
{{- $paths = append $paths (printf "/mnt/baselines/%s" .file) -}}
{{- end -}}
{{- $way := dict "receivers" (list "otlp") "exporters" $exporters -}}
{{- $logs := mustMerge (dict "processors" (list "drift")) $way -}}
{{- $telemetry := dict -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- $telemetry = dict "interval" "0s" -}}
{{- end -}}
{{- $console := dict -}}
{{- if .Values.console.enabled -}}
{{- $console = include "processor.server" (dict "values" .Values "port" .Values.console.port) | fromYaml -}}
{{- end -}}
{{- $base := dict
  "receivers" (dict "otlp" (dict "protocols" $protocols))
  "processors" (dict "drift" (dict "baselines" $paths))
  "store" (dict "directory" "/var/lib/otel-ml/store")
  "service" (dict
    "shutdown_timeout" (printf "%ds" (int .Values.shutdownTimeoutSeconds))
    "status" (dict "endpoint" "0.0.0.0:13133")
    "telemetry" $telemetry
    "console" $console
    "pipelines" (dict "traces" (mustDeepCopy $way) "metrics" (mustDeepCopy $way) "logs" $logs)) -}}
{{- mustMergeOverwrite $base (mustDeepCopy .Values.config) | toYaml -}}
{{- end -}}
