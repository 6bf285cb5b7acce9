/** Kubeconfigs for tests: one context "x" of one cluster "c" and one user "u". JSON is YAML. */
import type * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import type { KubeConfigError, KubeConfigErrorReason } from "@effect-k8s/core/KubeConfigError"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"

export interface Parts {
  readonly cluster?: Record<string, unknown>
  readonly user?: Record<string, unknown>
  readonly context?: Record<string, unknown>
  readonly top?: Record<string, unknown>
}

export const pem = (kind: string, body = "MA=="): string => `-----BEGIN ${kind}-----\n${body}\n-----END ${kind}-----\n`

export const cert = pem("CERTIFICATE")
export const key = pem("PRIVATE KEY")
export const base64 = (text: string): string => Buffer.from(text).toString("base64")

export const kubeconfig = (parts: Parts = {}): string =>
  JSON.stringify({
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "c", user: "u", ...parts.context } }],
    clusters: [{ name: "c", cluster: { server: "https://k8s.example:6443", ...parts.cluster } }],
    users: [{ name: "u", user: parts.user ?? {} }],
    ...parts.top
  })

export const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

/** Sees no variable of the machine that runs the tests. */
export const withEnv = (env: Record<string, string> = {}) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env))

export const file = "/etc/test/kubeconfig"

export const resolveText = (text: string, options?: KubeConfig.ResolveOptions) =>
  KubeConfig.parse(text, file).pipe(
    Effect.flatMap((config) => KubeConfig.resolve(config, options)),
    Effect.provide(platform)
  )

export const resolveParts = (parts: Parts) => resolveText(kubeconfig(parts))

export const reasonOf = <A, R>(
  effect: Effect.Effect<A, KubeConfigError, R>
): Effect.Effect<KubeConfigErrorReason, A, R> => Effect.map(Effect.flip(effect), (error) => error.reason)

/** The fields of a reason, and its tag as `tag`. */
export const fieldsOf = (reason: KubeConfigErrorReason): Record<string, unknown> => ({
  ...Object.fromEntries(Object.entries(reason)),
  tag: reason._tag
})

/** The headers that a request would have. */
export const headersOf = (
  credentials: Credentials.Credentials["Service"]
): Effect.Effect<Record<string, string>, Credentials.CredentialsError> =>
  Effect.map(credentials.authorize(HttpClientRequest.get("https://k8s.example")), (request) => ({ ...request.headers }))
