/**
 * The benchmark server as the driver sees it.
 */
import * as Certificates from "@effect-k8s/testing/server/Certificates"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Ready, ServerRecord } from "../shared/Work.ts"

/** A running server. */
export interface Server {
  readonly plain: string
  readonly tls: string
  /** PEM text. */
  readonly ca: string
  /** Has the contexts `plain` and `tls`. */
  readonly kubeconfig: string
  /** What it saw since it was asked last. */
  readonly take: () => Promise<ServerRecord>
  readonly stop: () => void
}

/** Starts it. */
export const start = async (): Promise<Server> => {
  const { ca, identity } = await Effect.runPromise(
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      return { ca: authority.cert, identity: yield* authority.issueServer(["127.0.0.1", "localhost"]) }
    })
  )
  const child = fork(join(import.meta.dirname, "../server/main.ts"), {
    env: { ...process.env, BENCH_CERT: identity.cert, BENCH_KEY: Redacted.value(identity.key) }
  })
  const [ready] = await once(child, "message") as [Ready]
  const plain = `http://127.0.0.1:${ready.plainPort}`
  const tls = `https://127.0.0.1:${ready.tlsPort}`

  const directory = mkdtempSync(join(tmpdir(), "effect-k8s-bench-"))
  const kubeconfig = join(directory, "config")
  const context = (name: string) => ({ name, context: { cluster: name, user: "bench", namespace: "few" } })
  // YAML is a superset of JSON.
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "tls",
      clusters: [
        // client-node speaks plain HTTP only so.
        { name: "plain", cluster: { server: plain, "insecure-skip-tls-verify": true } },
        {
          name: "tls",
          cluster: { server: tls, "certificate-authority-data": Buffer.from(ca).toString("base64") }
        }
      ],
      // kubectl asks the terminal for a name where TLS comes without credentials.
      users: [{ name: "bench", user: { token: "bench" } }],
      contexts: [context("plain"), context("tls")]
    })
  )

  return {
    plain,
    tls,
    ca,
    kubeconfig,
    take: async () => {
      child.send("take")
      const [record] = await once(child, "message") as [ServerRecord]
      return record
    },
    stop: () => {
      child.disconnect()
      rmSync(directory, { recursive: true, force: true })
    }
  }
}
