{{/* The pods, of a Deployment or of a StatefulSet. */}}
{{- define "llm-proxy.pod" -}}
metadata:
  labels:
    {{- include "llm-proxy.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A changed key starts the pods anew.
    checksum/secret: {{ include (print $.Template.BasePath "/secret.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "llm-proxy.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.shutdown }}
  terminationGracePeriodSeconds: {{ add .preStopSeconds .drainDelaySeconds .graceSeconds 5 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: llm-proxy
      image: {{ include "llm-proxy.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- include "llm-proxy.container" . | nindent 6 }}
  volumes:
    {{- if not .Values.persistence.enabled }}
    - name: data
      emptyDir:
        sizeLimit: {{ .Values.persistence.emptyDirLimit }}
    {{- end }}
    {{- with .Values.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "llm-proxy.placement" . | nindent 2 }}
{{- end -}}

{{- define "llm-proxy.container" -}}
env:
  {{- include "llm-proxy.env" . | nindent 2 }}
ports:
  - name: http
    containerPort: 18000
  {{- if .Values.operators.enabled }}
  - name: operators
    containerPort: {{ .Values.operators.port }}
  {{- end }}
{{- $scheme := include "llm-proxy.scheme" . }}
# A minute for the embedded store's file to be checked and brought up to date.
startupProbe:
  httpGet: {path: /health, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 30
# Not ready while it has no configuration, and while it drains.
readinessProbe:
  httpGet: {path: /health/ready, port: http, scheme: {{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
# It answers under any load; only a process that stands still is started anew.
livenessProbe:
  httpGet: {path: /health/live, port: http, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- with .Values.shutdown.preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: data
    mountPath: /data
  {{- if .Values.tls.existingSecret }}
  - name: tls
    mountPath: /tls
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The environment: secrets by reference, the rest by value. */}}
{{- define "llm-proxy.env" -}}
{{- $secret := include "llm-proxy.secret" . -}}
- name: SHUTDOWN_GRACE_SECS
  value: {{ .Values.shutdown.graceSeconds | quote }}
- name: DRAIN_DELAY_SECS
  value: {{ .Values.shutdown.drainDelaySeconds | quote }}
- name: DATA_DIR
  value: /data
{{- if .Values.database.existingSecret }}
- name: DB_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.existingSecretKey }}}
{{- else if .Values.database.url }}
- name: DB_URL
  valueFrom:
    secretKeyRef: {name: {{ include "llm-proxy.fullname" . }}, key: DB_URL}
{{- end }}
{{- range $name, $value := dict "ADMIN_KEY" .Values.secrets.adminKey "SECRET_KEY" .Values.secrets.secretKey "METRICS_KEY" .Values.secrets.metricsKey "OPENAI_API_KEY" .Values.secrets.openaiApiKey }}
{{- if or $value $.Values.secrets.existingSecret }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: {{ $name }}, optional: {{ not $value }}}
{{- end }}
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: TLS_CERT_FILE
  value: /tls/tls.crt
- name: TLS_KEY_FILE
  value: /tls/tls.key
{{- end }}
{{- with .Values.operators }}
{{- if .enabled }}
- name: ADMIN_ADDR # on the addresses that the clients' port is on
  value: {{ include "llm-proxy.operatorsAddress" $ | quote }}
- name: ADMIN_ON_PUBLIC_PORT
  value: {{ .alsoOnPublicPort | quote }}
- name: ADMIN_PLAIN_HTTP
  value: {{ not $.Values.tls.existingSecret | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  {{- if kindIs "float64" $value }}
  value: {{ $value | int64 | quote }}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where the pods go. */}}
{{- define "llm-proxy.placement" -}}
topologySpreadConstraints:
{{- if .Values.topologySpreadConstraints }}
  {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "llm-proxy.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
