{{/* The chart's name, or its override. */}}
{{- define "oc-essentials-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of most objects: the release name, plus the chart name unless the release name contains it. */}}
{{- define "oc-essentials-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "oc-essentials-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The name of cluster-wide objects. With watchNamespaces, several releases can share one cluster, and each needs its own. */}}
{{- define "oc-essentials-operator.clusterName" -}}
{{- if .Values.watchNamespaces }}
{{- printf "%s-%s" .Release.Namespace (include "oc-essentials-operator.fullname" .) }}
{{- else }}
{{- include "oc-essentials-operator.fullname" . }}
{{- end }}
{{- end }}

{{- define "oc-essentials-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "oc-essentials-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name an existing service account, or set serviceAccount.create to true" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "oc-essentials-operator.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Selector labels: what distinguishes this release's objects from others. A Deployment's selector is immutable. */}}
{{- define "oc-essentials-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "oc-essentials-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "oc-essentials-operator.labels" -}}
helm.sh/chart: {{ include "oc-essentials-operator.chart" . }}
{{ include "oc-essentials-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: oc-essentials-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image reference, from: the image's values, and the chart. */}}
{{- define "oc-essentials-operator.image" -}}
{{- $tag := default .chart.AppVersion .image.tag }}
{{- printf "%s:%s" .image.repository $tag }}
{{- with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Labels of a pod: without the chart's version, so that a new chart version alone does not replace pods. */}}
{{- define "oc-essentials-operator.podLabels" -}}
{{ include "oc-essentials-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: oc-essentials-operator
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* How to scrape an endpoint, from the values of a monitor. */}}
{{- define "oc-essentials-operator.scrape" -}}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
