/**
 * A client in a process of its own: for rows that kill it, or that measure what it takes while the server's half is
 * somewhere else. It finds its cluster by `KUBECONFIG`, and where that is not enough its token by `CONFORMANCE_TOKEN`.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import type * as Target from "@effect-k8s/channels/Target"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import type { KubeConfigError } from "@effect-k8s/core/KubeConfigError"
import type { Platform } from "@effect-k8s/core/Transport"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Memory from "./Memory.ts"
import * as Remote from "./Remote.ts"
import * as Tunnel from "./Tunnel.ts"

/** The variable with the token of the client, where the kubeconfig has none: no client of one sends any without TLS. */
export const tokenVariable = "CONFORMANCE_TOKEN"

/** What it is to do. */
export type Job =
  /** Starts a command and copies its stdout to its own. */
  | {
    readonly _tag: "Copy"
    readonly argv: ReadonlyArray<string>
    /** What carries it; as the client would choose unless told. */
    readonly options?: Pick<ExecOptions, "transport" | "protocols"> | undefined
  }
  /** Sends bytes to the stdin of a command, or reads them from its stdout, and measures. */
  | Transfer

/** A transfer that is measured, and one before it. It prints a `Report`. */
export interface Transfer {
  readonly _tag: "Send" | "Receive"
  readonly size: number
  /** Bytes of the one before: enough for the heap to have found its size. */
  readonly warmUp: number
  /** For how long the other side reads nothing at first. */
  readonly stallMillis: number
  /** What carries it; as the client would choose unless told. */
  readonly transport?: "websocket" | "spdy" | undefined
}

/** What is passed to it, as JSON in its only argument. */
export interface Arguments {
  readonly target: Target.Target
  /** The port of the tunnel to dial through, if any. */
  readonly tunnel: number | undefined
  readonly job: Job
}

/** What a transfer came to. */
export interface Report {
  /** Bytes that have arrived. */
  readonly arrived: number
  /** By how much the resident memory was larger at its peak than before, in bytes. */
  readonly taken: number
  /** How much of that came in the second transfer, in bytes. */
  readonly growth: number
}

const block = new Uint8Array(64 * 1024)
const zeros = (size: number): Stream.Stream<Uint8Array> =>
  Stream.take(Stream.forever(Stream.succeed(block)), size / block.length)

const transfer = (
  target: Target.Target,
  { _tag, size, stallMillis, transport }: Transfer,
  moved: (bytes: number) => void
) => {
  const on = Exec.on(target, { transport })
  const metered = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
    Stream.tap(stream, ({ length }) => Effect.sync(() => moved(length)))
  if (_tag === "Receive") {
    const output = Exec.stream(on(["head", "-c", String(size), "/dev/zero"]))
    return Remote.countBytes(metered(Remote.pauseAfterFirst(stallMillis)(output)))
  }
  const command = on(["sh", "-c", `sleep ${stallMillis / 1000}; wc -c`])
  return Effect.map(Exec.string(Exec.feed(command, metered(zeros(size)))), (text) => Number(text.trim()))
}

const measure = Effect.fnUntraced(function*(target: Target.Target, job: Transfer) {
  const { rss } = process.memoryUsage
  const start = rss()
  const warmUp = { ...job, size: job.warmUp }
  const first = start + (yield* Memory.growth((moved) => transfer(target, warmUp, moved))).bytes
  const before = rss()
  const second = yield* Memory.growth((moved) => transfer(target, job, moved))
  const peak = Math.max(first, before + second.bytes)
  return { arrived: second.value, taken: peak - start, growth: peak - first } satisfies Report
})

const perform = ({ job, target }: Arguments) =>
  job._tag === "Copy"
    ? Stream.runForEach(
      Exec.stream(Exec.on(target, job.options)(job.argv)),
      (chunk) => Effect.sync(() => process.stdout.write(chunk))
    )
    : Effect.map(measure(target, job), (report) => process.stdout.write(JSON.stringify(report)))

const client = Effect.fnUntraced(function*(tunnel: number | undefined): Effect.fn.Return<
  KubeClient.KubeClient["Service"],
  KubeConfigError | Config.ConfigError,
  Platform | FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const resolved = yield* Effect.flatMap(KubeConfig.load(), KubeConfig.resolve)
  const token = yield* Config.option(Config.Redacted(tokenVariable))
  const credentials = Option.isSome(token) ? Credentials.make({ token: token.value }) : resolved.credentials
  const endpoint = tunnel === undefined ? resolved.endpoint : { ...resolved.endpoint, dial: Tunnel.dialThrough(tunnel) }
  return yield* KubeClient.make({ ...resolved, credentials, endpoint })
})

/** Does what its argument says. */
export const main = Effect.fnUntraced(function*(argument: string) {
  const args: Arguments = JSON.parse(argument)
  yield* Effect.provideServiceEffect(perform(args), KubeClient.KubeClient, client(args.tunnel))
}, Effect.scoped)
