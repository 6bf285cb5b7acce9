/**
 * Commands joined by their streams, as a value: pods of any clusters, local processes, and stream functions.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Inspectable from "effect/Inspectable"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as CommandLine from "effect/process/CommandLine"
import type * as Stream from "effect/Stream"
import * as Command from "../Command.ts"
import type { ExitedNonZero } from "../ExitedNonZero.ts"
import * as Target from "../Target.ts"

const ThroughTypeId = "~@effect-k8s/channels/Through"
const PipelineTypeId = "~@effect-k8s/channels/Pipeline"

type Bytes<E, R> = Stream.Stream<Uint8Array, E, R>

/** A stage that is a function of streams. `E` and `R` are what its stream can fail with and needs. */
export interface Through<out E = never, out R = never> extends Pipeable {
  readonly [ThroughTypeId]: typeof ThroughTypeId
  readonly name: string
  /** Its input does not fail: when an earlier stage does, the input stays open until the pipeline is ended. */
  readonly transform: (input: Bytes<never, never>) => Bytes<E, R>
}

/** One stage. */
export type Stage =
  | { readonly _tag: "Pod"; readonly command: Command.Command<unknown, unknown, unknown> }
  | { readonly _tag: "Local"; readonly command: ChildProcess.StandardCommand; readonly pipe: ChildProcess.PipeOptions }
  | {
    readonly _tag: "Through"
    readonly through: Through<unknown, unknown>
    /** It is what feeds the command behind it. */
    readonly feeds: boolean
  }

/** Stages in order. `E` is what `Through` stages, feeds and layers can fail with, `R` what all stages need. */
export interface Pipeline<out E = never, out R = KubeClient> extends Pipeable, Inspectable.Inspectable {
  readonly [PipelineTypeId]: {
    readonly _E: (_: never) => E
    readonly _R: (_: never) => R
  }
  readonly _tag: "Pipeline"
  readonly stages: ReadonlyArray<Stage>
}

/** What can be a stage, or several. */
export type Stageable =
  | Command.Command<unknown, unknown, unknown>
  | Pipeline<unknown, unknown>
  | Through<unknown, unknown>
  | ChildProcess.Command

/** What a stage adds to the errors of a pipeline, beyond `StageFailed`. */
export type ErrorOf<S> = S extends Pipeline<infer E, infer _R> ? E
  : S extends Through<infer E, infer _R> ? E
  : S extends Command.Command<infer _R, infer E, infer F> ? Exclude<E, ExitedNonZero> | F
  : never

/** What a stage needs. */
export type ServicesOf<S> = S extends Pipeline<infer _E, infer R> ? R
  : S extends Through<infer _E, infer R> ? R
  : S extends Command.Command<infer R, infer _E, infer _F> ? R
  : ChildProcessSpawner

/** Whether a value is a `Pipeline`. */
export const isPipeline = (u: unknown): u is Pipeline<unknown, unknown> => Predicate.hasProperty(u, PipelineTypeId)

/** Whether a value is a `Through` stage. */
export const isThrough = (u: unknown): u is Through<unknown, unknown> => Predicate.hasProperty(u, ThroughTypeId)

const ThroughProto = {
  [ThroughTypeId]: ThroughTypeId,
  pipe() {
    return pipeArguments(this, arguments)
  }
}

/** A stage from a function of streams. The name is for results and messages. */
export const through = <E, R>(
  transform: (input: Bytes<never, never>) => Bytes<E, R>,
  options: { readonly name?: string | undefined } = {}
): Through<E, R> =>
  Object.assign(Object.create(ThroughProto), {
    name: options.name ?? (transform.name === "" ? "through" : transform.name),
    transform
  })

/** How a stage reads. */
export const describe = (stage: Stage): string => {
  switch (stage._tag) {
    case "Pod":
      return CommandLine.display(stage.command.argv)
    case "Local":
      return CommandLine.display([stage.command.command, ...stage.command.args])
    case "Through":
      return stage.through.name
  }
}

/** Where a stage runs. */
export const whereabouts = (stage: Stage): string =>
  stage._tag === "Pod" ? Target.format(stage.command.target) : stage._tag === "Local" ? "local" : "in this process"

const format = ({ stages }: Pipeline<unknown, unknown>): string =>
  `Pipeline(${stages.map((stage) => `${describe(stage)} @ ${whereabouts(stage)}`).join(" | ")})`

const Proto = {
  [PipelineTypeId]: { _E: (_: never) => _, _R: (_: never) => _ },
  _tag: "Pipeline",
  pipe() {
    return pipeArguments(this, arguments)
  },
  toString(this: Pipeline<unknown, unknown>) {
    return format(this)
  },
  toJSON(this: Pipeline<unknown, unknown>) {
    return {
      _id: "Pipeline",
      stages: this.stages.map((stage) => ({ _tag: stage._tag, command: describe(stage), target: whereabouts(stage) }))
    }
  },
  [Inspectable.NodeInspectSymbol](this: Pipeline<unknown, unknown>) {
    return format(this)
  }
}

/** A pipeline of these stages. */
export const make = <E, R>(stages: ReadonlyArray<Stage>): Pipeline<E, R> =>
  Object.assign(Object.create(Proto), { stages })

// A piped local command is its stages; how it pipes them is kept, because only stdout to stdin can be honoured.
const flatten = (command: ChildProcess.Command, pipe: ChildProcess.PipeOptions): ReadonlyArray<Stage> =>
  command._tag === "StandardCommand"
    ? [{ _tag: "Local", command, pipe }]
    : [...flatten(command.left, command.options), ...flatten(command.right, pipe)]

/** The stages that a value stands for. */
export const stagesOf = (value: Stageable): ReadonlyArray<Stage> => {
  if (isPipeline(value)) return value.stages
  if (Command.isCommand(value)) {
    const { input } = value
    const pod: Stage = { _tag: "Pod", command: Command.plain(value) }
    // What feeds a command is a stage of its own, so that its failure is told apart from the command's.
    return input === undefined
      ? [pod]
      : [{ _tag: "Through", through: through(() => Command.bound(value, input), { name: "feed" }), feeds: true }, pod]
  }
  if (isThrough(value)) return [{ _tag: "Through", through: value, feeds: false }]
  return flatten(value, {})
}

/** Joins two values: the output of the first goes into the second. */
export const join = <A extends Stageable, B extends Stageable>(
  first: A,
  second: B
): Pipeline<ErrorOf<A> | ErrorOf<B>, ServicesOf<A> | ServicesOf<B>> => make([...stagesOf(first), ...stagesOf(second)])
