{{/* Rules for values that a schema can't express. Each message names the value, the rule, and what to do. */}}
{{- define "oc-essentials-operator.validate" -}}
{{- with .Values.leaderElection }}
{{- if ge (int .renewDeadline) (int .leaseDuration) }}
{{- fail (printf "leaderElection.renewDeadline is %v and leaseDuration %v: choose a shorter deadline, so that a leader stops before another one starts" .renewDeadline .leaseDuration) }}
{{- end }}
{{- if ge (int .retryPeriod) (int .renewDeadline) }}
{{- fail (printf "leaderElection.retryPeriod is %v and renewDeadline %v: choose a shorter period, so that the leader can retry a renewal" .retryPeriod .renewDeadline) }}
{{- end }}
{{- end }}
{{- if eq (int .Values.metrics.port) (int .Values.health.port) }}
{{- fail (printf "metrics.port and health.port are both %v: change one of them" .Values.health.port) }}
{{- end }}
{{- range list "serviceMonitor" "podMonitor" "prometheusRule" }}
{{- if and (get $.Values .).enabled (not $.Values.metrics.enabled) }}
{{- fail (printf "%s.enabled needs metrics: set metrics.enabled to true, or %s.enabled to false" . .) }}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if and .enabled .platformTo (not .apiServerTo) }}
{{- $open := list }}
{{- range .apiServerPorts }}{{ $open = append $open (int .) }}{{ end }}
{{- range .platformPorts }}
{{- if has (int .) $open }}
{{- fail (printf "networkPolicy.platformTo restricts nothing while networkPolicy.apiServerTo is empty: port %d is also in apiServerPorts, which allows it to any address; list the API server's addresses in apiServerTo, or remove the port from apiServerPorts" (int .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.networkPolicy.enabled .Values.otlp.endpoint (not .Values.networkPolicy.extraEgress) }}
{{- $port := regexFind ":[0-9]+(/|$)" .Values.otlp.endpoint | trimPrefix ":" | trimSuffix "/" | default (ternary "443" "80" (hasPrefix "https:" .Values.otlp.endpoint)) | int }}
{{- $open := list }}
{{- if not .Values.networkPolicy.apiServerTo }}{{ range .Values.networkPolicy.apiServerPorts }}{{ $open = append $open (int .) }}{{ end }}{{ end }}
{{- if not .Values.networkPolicy.platformTo }}{{ range .Values.networkPolicy.platformPorts }}{{ $open = append $open (int .) }}{{ end }}{{ end }}
{{- if not (has $port $open) }}
{{- fail (printf "networkPolicy blocks the collector of otlp.endpoint (port %d): allow it in networkPolicy.extraEgress, such as [{ports: [{port: %d}]}]" $port $port) }}
{{- end }}
{{- end }}
{{- if and .Values.livePlatform.enabled (not .Values.livePlatform.spec) }}
{{- fail "livePlatform.spec is empty: set at least url and authentication, or set livePlatform.enabled to false" }}
{{- end }}
{{- if and .Values.simulator.enabled .Values.livePlatform.enabled (eq .Values.livePlatform.name .Values.simulator.platformName) }}
{{- fail (printf "livePlatform.name and simulator.platformName are both %s: change one of them" .Values.livePlatform.name) }}
{{- end }}
{{- end }}
