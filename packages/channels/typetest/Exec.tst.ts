import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import type { Command } from "@effect-k8s/channels/Command"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle, RawStatus, Stats, Verified } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import type { ExitedNonZero } from "@effect-k8s/channels/ExitedNonZero"
import type { Outcome, Summary } from "@effect-k8s/channels/FanOut"
import type { Pipeline, Through } from "@effect-k8s/channels/pipeline/Pipeline"
import type { StageFailed, StageFailureReason, StageResult } from "@effect-k8s/channels/pipeline/StageResult"
import * as Target from "@effect-k8s/channels/Target"
import type { Pod } from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { PlatformError } from "effect/PlatformError"
import type * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner, ExitCode } from "effect/process/ChildProcessSpawner"
import type * as CommandLine from "effect/process/CommandLine"
import type * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import { describe, expect, it } from "tstyche"

class Vault extends Context.Service<Vault, { readonly token: string }>()("Vault") {}
class Source extends Context.Service<Source, { readonly text: string }>()("Source") {}

interface Broken {
  readonly _tag: "Broken"
}
interface NoCluster {
  readonly _tag: "NoCluster"
}
interface Spoiled {
  readonly _tag: "Spoiled"
}

const target = Target.pod("db-0")
const command = Exec.on(target)`pg_dump shop`
const local = null! as ChildProcess.StandardCommand
const piped = null! as ChildProcess.PipedCommand
const context = null! as Context.Context<KubeClient>
const wide = null! as Context.Context<KubeClient | Vault>
const layer = null! as Layer.Layer<KubeClient>
const failing = null! as Layer.Layer<KubeClient, NoCluster>
const needing = null! as Layer.Layer<KubeClient, NoCluster, Vault>
const bytes = null! as Stream.Stream<Uint8Array>
const texts = null! as Stream.Stream<string>
const started = null! as ExecHandle
const pod = null! as Pod
const fallible = null! as Stream.Stream<Uint8Array, Broken, Source>
const spoil = null! as (input: Stream.Stream<Uint8Array>) => Stream.Stream<Uint8Array, Spoiled, Source>

describe("a command", () => {
  it("needs a client, and fails to start with KubeError alone", () => {
    expect(command).type.toBe<Command>()
    expect<Command>().type.toBe<Command>()
  })

  it("is an effect of its handle, in a scope", () => {
    expect(command).type.toBeAssignableTo<Effect.Effect<ExecHandle, KubeError, KubeClient | Scope.Scope>>()
    expect<Effect.Success<typeof command>>().type.toBe<ExecHandle>()
    expect<Effect.Error<typeof command>>().type.toBe<KubeError>()
    expect<Effect.Services<typeof command>>().type.toBe<KubeClient | Scope.Scope>()
  })

  it("takes words, secret ones too, or a template", () => {
    const on = Exec.on(target)
    const secret = null! as Redacted.Redacted
    expect(on(["sh", "-c", "ls"])).type.toBe<Command>()
    expect(on(["login", secret])).type.toBe<Command>()
    expect(on`login ${secret} ${1} ${true} ${["a", "b"]}`).type.toBe<Command>()
    expect(on).type.not.toBeCallableWith("ls")
    expect(on).type.not.toBeCallableWith([1])
    expect(on).type.not.toBeCallableWith()
  })

  it("takes only a target, and only the options that there are", () => {
    expect(Exec.on).type.toBeCallableWith(target)
    expect(Exec.on).type.toBeCallableWith(Target.fromPod(null!), { tty: true })
    expect(Exec.on).type.not.toBeCallableWith("db-0")
    expect(Exec.on).type.not.toBeCallableWith(target, { tty: "yes" })
    expect(Exec.on).type.not.toBeCallableWith(target, { stdin: "inherit" })
    expect(Exec.on).type.not.toBeCallableWith(target, { supervise: "always" })
    expect(Exec.on).type.not.toBeCallableWith(target, { timeout: 1 })
    expect(Exec.on).type.not.toBeCallableWith(target, { env: { A: 1 } })
    expect(Exec.on).type.not.toBeCallableWith(target, { protocols: [] })
  })

  it("takes undefined for every option", () => {
    expect<{ readonly [K in keyof ExecOptions]: undefined }>().type.toBeAssignableTo<ExecOptions>()
  })
})

describe("check", () => {
  it("adds its failure to the exit code, not to the start", () => {
    const checked = Exec.check(command)
    expect(checked).type.toBe<Command<KubeClient, ExitedNonZero>>()
    expect<Effect.Error<typeof checked>>().type.toBe<KubeError>()
    expect<Effect.Success<typeof checked>>().type.toBe<ExecHandle<ExitedNonZero>>()
    expect(command.pipe(Exec.check)).type.toBe<Command<KubeClient, ExitedNonZero>>()
  })

  it("is not for pipelines and other stages", () => {
    expect(Exec.check).type.not.toBeCallableWith(Exec.pipeTo(command, command))
    expect(Exec.check).type.not.toBeCallableWith(local)
  })
})

describe("feed", () => {
  it("adds the stream's needs, and its failure to the exit code, in either order of arguments", () => {
    const fed = Exec.feed(command, fallible)
    expect(fed).type.toBe<Command<KubeClient | Source, Broken>>()
    expect(command.pipe(Exec.feed(fallible))).type.toBe<Command<KubeClient | Source, Broken>>()
    expect<Effect.Error<typeof fed>>().type.toBe<KubeError>()
    expect(Exec.feed(command, bytes)).type.toBe<Command>()
  })

  it("takes bytes only, and commands only", () => {
    expect(Exec.feed).type.not.toBeCallableWith(command, texts)
    expect(Exec.feed).type.not.toBeCallableWith(Exec.pipeTo(command, command), bytes)
  })

  it("adds to a check", () => {
    const both = Exec.check(Exec.feed(command, fallible))
    expect(both).type.toBe<Command<KubeClient | Source, Broken | ExitedNonZero>>()
    expect(Exec.feed(Exec.check(command), fallible)).type.toBe<typeof both>()
  })
})

describe("provide", () => {
  it("takes a context, in either order of arguments", () => {
    expect(Exec.provide(command, context)).type.toBe<Command<never>>()
    expect(command.pipe(Exec.provide(context))).type.toBe<Command<never>>()
    expect(Exec.provide(command, wide)).type.toBe<Command<never>>()
    expect(Exec.provide(command, null! as Context.Context<Vault>)).type.toBe<Command>()
  })

  it("takes a layer, whose failure is one of the start", () => {
    expect(Exec.provide(command, layer)).type.toBe<Command<never>>()
    expect(command.pipe(Exec.provide(layer))).type.toBe<Command<never>>()
    const bound = Exec.provide(command, failing)
    expect(bound).type.toBe<Command<never, never, NoCluster>>()
    expect(command.pipe(Exec.provide(failing))).type.toBe<typeof bound>()
    expect<Effect.Error<typeof bound>>().type.toBe<KubeError | NoCluster>()
    expect<Effect.Services<typeof bound>>().type.toBe<Scope.Scope>()
  })

  it("leaves what the layer needs, for a later one", () => {
    const half = Exec.provide(command, needing)
    expect(half).type.toBe<Command<Vault, never, NoCluster>>()
    expect(Exec.provide(half, null! as Layer.Layer<Vault, Broken>)).type.toBe<
      Command<never, never, NoCluster | Broken>
    >()
  })

  it("keeps what check and feed have added", () => {
    const all = command.pipe(Exec.check, Exec.feed(fallible), Exec.provide(failing))
    expect(all).type.toBe<Command<Source, Broken | ExitedNonZero, NoCluster>>()
  })
})

describe("the handle", () => {
  const handle = null! as ExecHandle<Broken>

  it("has exact types of streams and outcomes", () => {
    expect(handle.stdin).type.toBe<Sink.Sink<void, Uint8Array, never, ChannelError>>()
    expect(handle.stdout).type.toBe<Stream.Stream<Uint8Array, ChannelError>>()
    expect(handle.stderr).type.toBe<Stream.Stream<Uint8Array, ChannelError>>()
    expect(handle.all).type.toBe<Stream.Stream<Uint8Array, ChannelError>>()
    expect(handle.exitCode).type.toBe<Effect.Effect<ExitCode, ChannelError | Broken>>()
    expect(handle.verified).type.toBe<Effect.Effect<Verified, ChannelError>>()
    expect(handle.isRunning).type.toBe<Effect.Effect<boolean>>()
    expect(handle.kill()).type.toBe<Effect.Effect<void, ChannelError>>()
    expect(handle.resize({ width: 80, height: 24 })).type.toBe<Effect.Effect<void>>()
    expect(handle.status).type.toBe<Effect.Effect<RawStatus, ChannelError>>()
    expect<RawStatus>().type.toBe<Readonly<Record<string, unknown>>>()
    expect(handle.stats).type.toBe<Effect.Effect<Stats>>()
    expect(handle.protocol).type.toBe<string>()
    expect(handle.transport).type.toBe<"websocket" | "spdy">()
    expect(handle.supervised).type.toBe<boolean>()
    expect(handle.processGroup).type.toBe<number | undefined>()
  })

  it("of a plain command fails with ChannelError alone", () => {
    expect<ExecHandle>().type.toBe<ExecHandle>()
    expect(null! as ExecHandle["exitCode"]).type.toBe<Effect.Effect<ExitCode, ChannelError>>()
    expect<ExecHandle>().type.toBeAssignableTo<ExecHandle<Broken>>()
    expect<ExecHandle<Broken>>().type.not.toBeAssignableTo<ExecHandle>()
  })

  it("knows the signals and sizes that there are", () => {
    expect(handle.kill).type.toBeCallableWith({ killSignal: "SIGTERM" })
    expect(handle.kill).type.not.toBeCallableWith({ killSignal: "SIGNOTHING" })
    expect(handle.resize).type.not.toBeCallableWith({ width: 80 })
    // @ts-expect-error Cannot assign to 'protocol' because it is a read-only property.
    handle.protocol = "x"
  })
})

describe("pipeTo", () => {
  it("joins commands, local processes, stream functions and pipelines, in either order of arguments", () => {
    expect(Exec.pipeTo(command, command)).type.toBe<Pipeline>()
    expect(command.pipe(Exec.pipeTo(command))).type.toBe<Pipeline>()
    expect(Exec.pipeTo(local, piped)).type.toBe<Pipeline<never, ChildProcessSpawner>>()
    expect(Exec.pipeTo(command, local)).type.toBe<Pipeline<never, KubeClient | ChildProcessSpawner>>()
    expect(command.pipe(Exec.pipeTo(piped))).type.toBe<Pipeline<never, KubeClient | ChildProcessSpawner>>()
    const pipeline = Exec.pipeTo(command, local)
    expect(Exec.pipeTo(pipeline, pipeline)).type.toBe<typeof pipeline>()
    expect(pipeline.pipe(Exec.pipeTo(command))).type.toBe<typeof pipeline>()
  })

  it("unites the needs and the own errors of the stages, and knows no check", () => {
    const pipeline = Exec.check(command).pipe(
      Exec.pipeTo(Exec.through(spoil)),
      Exec.pipeTo(Exec.provide(command, needing)),
      Exec.pipeTo(Exec.check(Exec.feed(command, null! as Stream.Stream<Uint8Array, Broken, Scope.Scope>)))
    )
    expect(pipeline).type.toBe<
      Pipeline<Spoiled | NoCluster | Broken, KubeClient | Source | Vault | Scope.Scope>
    >()
  })

  it("needs no client when every command is bound to a cluster", () => {
    const pipeline = Exec.provide(command, context).pipe(
      Exec.pipeTo(Exec.provide(command, layer)),
      Exec.pipeTo(Exec.through((input) => input))
    )
    expect(pipeline).type.toBe<Pipeline<never, never>>()
    expect(Exec.run(pipeline)).type.toBe<Effect.Effect<ReadonlyArray<StageResult>, StageFailed>>()
    expect(Exec.pipeTo(pipeline, command)).type.toBe<Pipeline>()
  })

  it("takes nothing else", () => {
    expect(Exec.pipeTo).type.not.toBeCallableWith(command, "cat")
    expect(Exec.pipeTo).type.not.toBeCallableWith(command, bytes)
    expect(Exec.pipeTo).type.not.toBeCallableWith(command, (input: Stream.Stream<Uint8Array>) => input)
    expect(Exec.pipeTo).type.not.toBeCallableWith(bytes, command)
    expect(Exec.pipeTo).type.not.toBeCallableWith(started, command)
  })
})

describe("a stream function", () => {
  it("has the error and the needs of its stream", () => {
    expect(Exec.through(spoil)).type.toBe<Through<Spoiled, Source>>()
    expect(Exec.through((input) => input)).type.toBe<Through>()
    expect(Exec.through(() => bytes, { name: "x" })).type.toBe<Through>()
  })

  it("has an input of bytes that does not fail, and gives bytes", () => {
    Exec.through((input) => {
      expect(input).type.toBe<Stream.Stream<Uint8Array>>()
      return input
    })
    expect(Exec.through).type.not.toBeCallableWith((input: Stream.Stream<string>) => input)
    expect(Exec.through).type.not.toBeCallableWith(() => null! as Stream.Stream<string>)
    expect(Exec.through).type.not.toBeCallableWith((input: Stream.Stream<Uint8Array>) => input, { name: 1 })
  })
})

describe("run", () => {
  type Run<E, R> = Effect.Effect<ReadonlyArray<StageResult>, StageFailed | E, R>

  it("fails with StageFailed, and with what is a stage's own", () => {
    expect(Exec.run(command)).type.toBe<Run<never, KubeClient>>()
    expect(Exec.run(local)).type.toBe<Run<never, ChildProcessSpawner>>()
    expect(Exec.run(Exec.through(spoil))).type.toBe<Run<Spoiled, Source>>()
    expect(Exec.run(Exec.pipeTo(command, Exec.through(spoil)))).type.toBe<Run<Spoiled, KubeClient | Source>>()
    expect(Exec.run(Exec.feed(command, fallible))).type.toBe<Run<Broken, KubeClient | Source>>()
    expect(Exec.run(Exec.provide(command, failing))).type.toBe<Run<NoCluster, never>>()
  })

  it("lists no ExitedNonZero, KubeError, ChannelError or PlatformError: those are reasons", () => {
    expect(Exec.run(Exec.check(command))).type.toBe<Run<never, KubeClient>>()
    expect(Exec.run(Exec.pipeTo(Exec.check(command), local))).type.toBe<Run<never, KubeClient | ChildProcessSpawner>>()
    expect<StageFailed["reason"]>().type.toBe<ExitedNonZero | KubeError | ChannelError | PlatformError>()
    expect<StageFailureReason>().type.toBe<StageFailed["reason"]>()
  })

  it("lists what a feed fails with, but for a check in it, which is a reason as every other", () => {
    const fed = Exec.feed(command, Exec.stream(Exec.check(command)))
    expect(fed).type.toBe<Command<KubeClient, KubeError | ChannelError | ExitedNonZero>>()
    expect(Exec.run(fed)).type.toBe<Run<KubeError | ChannelError, KubeClient>>()
  })

  it("gives results that tell their kind", () => {
    const result = null! as StageResult
    if (result._tag === "Pod") {
      expect(result.exitCode).type.toBe<number | undefined>()
      expect(result.verified).type.toBe<Verified>()
      expect(result.protocol).type.toBe<string | undefined>()
    } else if (result._tag === "Local") {
      expect(result.exitCode).type.toBe<number | undefined>()
      expect(result).type.not.toHaveProperty("verified")
    } else {
      expect(result._tag).type.toBe<"Through">()
      expect(result).type.not.toHaveProperty("exitCode")
    }
    expect(result.end).type.toBe<"Completed" | "EndedEarly" | "Failed" | "Interrupted">()
  })

  it("takes nothing that is no stage", () => {
    expect(Exec.run).type.not.toBeCallableWith(bytes)
    expect(Exec.run).type.not.toBeCallableWith([command, command])
  })
})

describe("the helpers", () => {
  const pipeline = Exec.pipeTo(command, Exec.through(spoil))
  type Failure = KubeError | ChannelError

  it("of a command fail with KubeError, ChannelError and what was added", () => {
    expect(Exec.string(command)).type.toBe<Effect.Effect<string, Failure, KubeClient>>()
    expect(Exec.lines(command)).type.toBe<Effect.Effect<Array<string>, Failure, KubeClient>>()
    expect(Exec.exitCode(command)).type.toBe<Effect.Effect<ExitCode, Failure, KubeClient>>()
    expect(Exec.stream(command)).type.toBe<Stream.Stream<Uint8Array, Failure, KubeClient>>()
    expect(Exec.streamString(command)).type.toBe<Stream.Stream<string, Failure, KubeClient>>()
    expect(Exec.streamLines(command)).type.toBe<Stream.Stream<string, Failure, KubeClient>>()
    expect(Exec.string(Exec.check(command))).type.toBe<Effect.Effect<string, Failure | ExitedNonZero, KubeClient>>()
    expect(Exec.string(command.pipe(Exec.feed(fallible), Exec.provide(failing)))).type.toBe<
      Effect.Effect<string, Failure | Broken | NoCluster, Source>
    >()
  })

  it("of a pipeline fail with StageFailed and what is a stage's own", () => {
    expect(Exec.string(pipeline)).type.toBe<Effect.Effect<string, StageFailed | Spoiled, KubeClient | Source>>()
    expect(Exec.lines(pipeline)).type.toBe<Effect.Effect<Array<string>, StageFailed | Spoiled, KubeClient | Source>>()
    expect(Exec.exitCode(pipeline)).type.toBe<Effect.Effect<ExitCode, StageFailed | Spoiled, KubeClient | Source>>()
    expect(Exec.stream(pipeline)).type.toBe<Stream.Stream<Uint8Array, StageFailed | Spoiled, KubeClient | Source>>()
    expect(Exec.streamString(pipeline)).type.toBe<Stream.Stream<string, StageFailed | Spoiled, KubeClient | Source>>()
    expect(Exec.streamLines(pipeline)).type.toBe<Stream.Stream<string, StageFailed | Spoiled, KubeClient | Source>>()
  })

  it("take nothing that is neither", () => {
    expect(Exec.string).type.not.toBeCallableWith(bytes)
    expect(Exec.stream).type.not.toBeCallableWith(Exec.through(spoil))
    expect(Exec.exitCode).type.not.toBeCallableWith("ls")
  })
})

describe("fanOut", () => {
  it("gives outcomes and no failure of its own", () => {
    const targets = [target]
    expect(Exec.fanOut(targets, () => command)).type.toBe<Stream.Stream<Outcome, never, KubeClient>>()
    expect(Exec.fanOut(new Set(targets), () => Exec.pipeTo(command, Exec.through(spoil)))).type.toBe<
      Stream.Stream<Outcome<Spoiled>, never, KubeClient | Source>
    >()
    expect(Exec.fanOut(targets, () => Exec.provide(command, failing))).type.toBe<
      Stream.Stream<Outcome<NoCluster>>
    >()
    expect<Outcome<Spoiled>["result"]>().type.toBe<Result.Result<ReadonlyArray<StageResult>, StageFailed | Spoiled>>()
  })

  it("takes targets, and work that is a stage", () => {
    expect(Exec.fanOut).type.not.toBeCallableWith(["db-0"], () => command)
    expect(Exec.fanOut).type.not.toBeCallableWith([target], () => "ls")
    expect(Exec.fanOut).type.not.toBeCallableWith([target], () => command, { concurrency: "unbounded" })
  })

  it("sums up with the errors that there were", () => {
    expect(Exec.summary<Spoiled>()).type.toBe<Sink.Sink<Summary<Spoiled>, Outcome<Spoiled>, Outcome<Spoiled>>>()
    expect<Summary<Spoiled>["failures"][number]["error"]>().type.toBe<StageFailed | Spoiled>()
    expect<Summary["failures"][number]["error"]>().type.toBe<StageFailed>()
  })
})

describe("a target", () => {
  it("is a pod by name, or one that was read", () => {
    expect(Target.pod("a")).type.toBe<Target.Target>()
    expect(Target.fromPod(null! as Pod, { container: "c" })).type.toBe<Target.Target>()
    expect(Target.pod).type.not.toBeCallableWith("a", { container: 1 })
    expect(Target.fromPod).type.not.toBeCallableWith("a")
    expect(Target.fromPod).type.not.toBeCallableWith(pod, { namespace: "x" })
  })
})

describe("no any is in what is public", () => {
  /** `any` alone is this. */
  type IsAny<A> = 0 extends 1 & A ? true : false
  /** The keys of a type whose value, or a part of it one step below, is `any`. */
  type AnyKeys<A> = {
    [K in keyof A]-?: IsAny<A[K]> extends true ? K
      : A[K] extends (...args: infer P) => infer B ? IsAny<P> extends true ? K
        : IsAny<B> extends true ? K
        : never
      : A[K] extends Effect.Effect<infer B, infer E, infer R> ? true extends IsAny<B> | IsAny<E> | IsAny<R> ? K : never
      : A[K] extends Stream.Stream<infer B, infer E, infer R> ? true extends IsAny<B> | IsAny<E> | IsAny<R> ? K : never
      : never
  }[keyof A]

  it("of a command, a pipeline and a stage", () => {
    type Own<A> = Pick<A, Exclude<keyof A, keyof Effect.Effect<never>>>
    expect<AnyKeys<Own<Command>>>().type.toBe<never>()
    expect<AnyKeys<Omit<Pipeline, "pipe">>>().type.toBe<never>()
    expect<AnyKeys<Omit<Through, "pipe">>>().type.toBe<never>()
    expect(command.argv).type.toBe<ReadonlyArray<CommandLine.Word>>()
    expect(command.input).type.toBe<Stream.Stream<Uint8Array, unknown, unknown> | undefined>()
  })

  it("of the handle, the options, the results and the errors", () => {
    expect<AnyKeys<Omit<ExecHandle, "toJSON">>>().type.toBe<never>()
    expect<AnyKeys<Required<ExecOptions>>>().type.toBe<never>()
    expect<AnyKeys<Extract<StageResult, { readonly _tag: "Pod" }>>>().type.toBe<never>()
    expect<AnyKeys<Outcome>>().type.toBe<never>()
    expect<AnyKeys<Summary>>().type.toBe<never>()
    expect<AnyKeys<Pick<StageFailed, "stage" | "reason" | "results" | "message">>>().type.toBe<never>()
    expect<AnyKeys<Pick<ExitedNonZero, "exitCode" | "command" | "target" | "stderrTail">>>().type.toBe<never>()
    expect<AnyKeys<Pick<ChannelError, "reason" | "channel" | "message">>>().type.toBe<never>()
    expect<AnyKeys<Target.Target>>().type.toBe<never>()
  })

  it("of the module", () => {
    expect<AnyKeys<typeof Exec>>().type.toBe<never>()
    expect<AnyKeys<typeof Target>>().type.toBe<never>()
  })

  it("or this test would see it", () => {
    type Any = ReturnType<typeof JSON.parse>
    expect<AnyKeys<{ a: Any; b: () => Any; c: Effect.Effect<Any>; d: Stream.Stream<1, Any>; e: 1; f: unknown }>>().type
      .toBe<"a" | "b" | "c" | "d">()
  })
})
