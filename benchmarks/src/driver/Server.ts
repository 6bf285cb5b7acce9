/**
 * The servers as the driver sees them: the benchmark server, a test cluster, or a real one.
 */
import type { Kubeconfig } from "@effect-k8s/testing/Kubeconfig"
import * as Certificates from "@effect-k8s/testing/server/Certificates"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Order, Rotate } from "../shared/Rotation.ts"
import type { ClusterReady, Ready, ServerRecord, Work } from "../shared/Work.ts"

/** How a server is reached. */
export type Way = "plain" | "tls"

/** A running server. */
export interface Server {
  /** What a client must know of it. */
  readonly reach: (
    way: Way
  ) => Pick<Work, "url" | "ca" | "kubeconfig" | "context" | "pod" | "ports" | "real">
  /** What it saw since it was asked last. */
  readonly take: () => Promise<ServerRecord>
  readonly stop: () => Promise<void>
}

/** A server of ours, which knows clients by a token that changes. */
export interface OwnServer extends Server {
  /** Changes the token from now on; `every` is in what the server counts. */
  readonly rotate: (every: Rotate["every"]) => Promise<void>
  /** How a client is to reach it that reads its token from the file where it is written. */
  readonly reachRotating: () => ReturnType<Server["reach"]>
}

interface Temporary {
  readonly file: string
  /** Beside it, where the user of `rotating` finds it. */
  readonly tokenFile: string
  readonly remove: () => void
}

const rotatingName = "rotating"
const tokenFileName = "token"

/** The context of a client that reads its token from a file. Where the file is said relative to the kubeconfig. */
const rotating = (cluster: string, namespace?: string) => ({
  user: { name: rotatingName, user: { tokenFile: tokenFileName } },
  context: { name: rotatingName, context: { cluster, user: rotatingName, namespace } }
})

const temporary = (text: string): Temporary => {
  const directory = mkdtempSync(join(tmpdir(), "effect-k8s-bench-"))
  const file = join(directory, "config")
  writeFileSync(file, text, { mode: 0o600 })
  return {
    file,
    tokenFile: join(directory, tokenFileName),
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
}

/** Starts it, and gives what it says when it is ready: what that is, its program tells. */
const startProcess = async (
  name: string,
  env: Record<string, string> = {}
): Promise<{ readonly child: ChildProcess; readonly said: unknown }> => {
  const child = fork(join(import.meta.dirname, "../server", name), { env: { ...process.env, ...env } })
  const failed = once(child, "exit").then(([code]) => {
    throw new Error(`${name} ended with ${String(code)}`)
  })
  const [said] = await Promise.race([once(child, "message"), failed])
  failed.catch(() => {})
  return { child, said }
}

const order = async (child: ChildProcess, order: Order): Promise<ServerRecord> => {
  child.send(order)
  const [record] = await once(child, "message") as [ServerRecord]
  return record
}

/** What all servers of ours do. */
const ownServer = (
  child: ChildProcess,
  kubeconfig: Temporary,
  reach: Server["reach"]
): OwnServer => ({
  reach,
  reachRotating: () => ({ ...reach("tls"), context: rotatingName }),
  take: () => order(child, { _tag: "Take" }),
  rotate: async (every) => {
    await order(child, { _tag: "Rotate", tokenFile: kubeconfig.tokenFile, every })
  },
  stop: async () => {
    await stopProcess(child)
    kubeconfig.remove()
  }
})

const stopProcess = async (child: ChildProcess): Promise<void> => {
  if (!child.connected) return
  const end = once(child, "exit")
  child.disconnect()
  await end
}

/** Starts the benchmark server. */
export const startServer = async (): Promise<OwnServer> => {
  const { ca, identity } = await Effect.runPromise(
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      return { ca: authority.cert, identity: yield* authority.issueServer(["127.0.0.1", "localhost"]) }
    })
  )
  const { child, said } = await startProcess("main.ts", {
    BENCH_CERT: identity.cert,
    BENCH_KEY: Redacted.value(identity.key)
  })
  const ready = said as Ready
  const plain = `http://127.0.0.1:${ready.plainPort}`
  const tls = `https://127.0.0.1:${ready.tlsPort}`
  const byToken = rotating("tls", "few")
  const context = (name: string) => ({ name, context: { cluster: name, user: "bench", namespace: "few" } })
  // YAML is a superset of JSON.
  const kubeconfig = temporary(
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
      users: [{ name: "bench", user: { token: "bench" } }, byToken.user],
      contexts: [context("plain"), context("tls"), byToken.context]
    })
  )
  return ownServer(child, kubeconfig, (way) => ({
    url: way === "tls" ? tls : plain,
    ca: way === "tls" ? ca : undefined,
    kubeconfig: kubeconfig.file,
    context: way,
    pod: { namespace: "few", name: "pod-0", container: "main" },
    ports: { ping: Number.NaN, lab: Number.NaN },
    real: false
  }))
}

/** Starts a test cluster, whose administrator the clients are. */
export const startTestCluster = async (): Promise<OwnServer> => {
  const { child, said } = await startProcess("cluster.ts")
  const ready = said as ClusterReady
  const config = JSON.parse(ready.kubeconfig) as Kubeconfig
  const byToken = rotating(config.clusters[0]?.name ?? "")
  const kubeconfig = temporary(
    JSON.stringify({
      ...config,
      users: [...config.users, byToken.user],
      contexts: [...config.contexts, byToken.context]
    })
  )
  return ownServer(child, kubeconfig, () => ({
    url: "",
    kubeconfig: kubeconfig.file,
    context: "admin",
    pod: ready.pod,
    ports: ready.ports,
    real: true
  }))
}
