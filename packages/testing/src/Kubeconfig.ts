/**
 * A kubeconfig for a test cluster: one cluster, and a context for each way to be known to it.
 */
import * as Redacted from "effect/Redacted"
import type { Identity } from "./server/Certificates.ts"

/** How a user proves who they are. */
export type Credential =
  | { readonly _tag: "Token"; readonly token: Redacted.Redacted }
  | { readonly _tag: "Certificate"; readonly identity: Identity }

/** A context: its name, the namespace it chooses, and who uses it. */
export interface ContextOptions {
  readonly name: string
  readonly namespace?: string | undefined
  readonly credential: Credential
}

/** What `make` takes. */
export interface Options {
  readonly server: URL
  /** PEM text of the authority; absent for plain HTTP. */
  readonly ca?: string | undefined
  /** The first one is the current context. */
  readonly contexts: ReadonlyArray<ContextOptions>
}

/** The `Config` of `client.authentication.k8s.io`, as far as it is used here. It holds secrets in plain text. */
export interface Kubeconfig {
  readonly apiVersion: "v1"
  readonly kind: "Config"
  readonly "current-context": string
  readonly clusters: ReadonlyArray<{
    readonly name: string
    readonly cluster: { readonly server: string; readonly "certificate-authority-data"?: string }
  }>
  readonly users: ReadonlyArray<{
    readonly name: string
    readonly user: {
      readonly token?: string
      readonly "client-certificate-data"?: string
      readonly "client-key-data"?: string
    }
  }>
  readonly contexts: ReadonlyArray<{
    readonly name: string
    readonly context: { readonly cluster: string; readonly user: string; readonly namespace?: string }
  }>
}

const clusterName = "test-cluster"

const base64 = (text: string): string => Buffer.from(text).toString("base64")

const userOf = (credential: Credential): Kubeconfig["users"][number]["user"] =>
  credential._tag === "Token" ? { token: Redacted.value(credential.token) } : {
    "client-certificate-data": base64(credential.identity.cert),
    "client-key-data": base64(Redacted.value(credential.identity.key))
  }

/** A kubeconfig as an object. */
export const make = ({ ca, contexts, server }: Options): Kubeconfig => ({
  apiVersion: "v1",
  kind: "Config",
  "current-context": contexts[0]?.name ?? "",
  clusters: [{
    name: clusterName,
    // kubectl wants no slash at the end.
    cluster: { server: server.origin, ...(ca === undefined ? {} : { "certificate-authority-data": base64(ca) }) }
  }],
  users: contexts.map(({ credential, name }) => ({ name, user: userOf(credential) })),
  contexts: contexts.map(({ name, namespace }) => ({
    name,
    context: { cluster: clusterName, user: name, ...(namespace === undefined ? {} : { namespace }) }
  }))
})

/** A kubeconfig as text: JSON, which is YAML too. */
export const toText = (config: Kubeconfig): string => `${JSON.stringify(config, undefined, 2)}\n`
