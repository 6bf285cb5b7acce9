/**
 * What an exec asks for, and what the API server and the kubelet check of it before anything runs.
 */
import * as Result from "effect/Result"
import { isTrue } from "../server/RequestInfo.ts"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as ContainerSpec from "./ContainerSpec.ts"

/** What is asked for. */
export interface ExecCall {
  readonly command: ReadonlyArray<string>
  /** Empty: the only one. */
  readonly container: string
  readonly stdin: boolean
  readonly stdout: boolean
  /** Never with a tty, which has but one output. */
  readonly stderr: boolean
  readonly tty: boolean
}

/** Reads the query. */
export const parse = (query: URLSearchParams): ExecCall => {
  const flag = (name: string): boolean => isTrue(query.get(name))
  const tty = flag("tty")
  return {
    command: query.getAll("command"),
    container: query.get("container") ?? "",
    stdin: flag("stdin"),
    stdout: flag("stdout"),
    stderr: flag("stderr") && !tty,
    tty
  }
}

/** The container that is meant. Fails with 400 if there is more than one to choose from, or none of the name. */
export const chooseContainer = (pod: StoredObject, asked: string): Result.Result<string, Failure.Failure> => {
  const { name } = pod.metadata
  const all = ContainerSpec.names(pod)
  if (asked !== "") {
    return all.includes(asked)
      ? Result.succeed(asked)
      : Result.fail(Failure.badRequest(`container ${asked} is not valid for pod ${name}`))
  }
  const main = Json.array(Json.get(pod, "spec", "containers"))
  const only = main.length === 1 ? Json.string(Json.get(main[0], "name")) : undefined
  return only === undefined
    ? Result.fail(
      Failure.badRequest(`a container name must be specified for pod ${name}, choose one of: [${all.join(" ")}]`)
    )
    : Result.succeed(only)
}

/** Fails with 400 for a pod that is on no node. */
export const checkHost = (pod: StoredObject): Result.Result<void, Failure.Failure> =>
  (Json.string(Json.get(pod, "spec", "nodeName")) ?? "") === ""
    ? Result.fail(Failure.badRequest(`pod ${pod.metadata.name} does not have a host assigned`))
    : Result.void

/** What the kubelet refuses: a status and a text. */
export interface KubeletRefusal {
  readonly status: 400 | 500
  readonly text: string
}

/** Whether the kubelet refuses a call, given what it says if the container does not run. */
export const checkByKubelet = (
  call: ExecCall,
  notFound: string | undefined
): KubeletRefusal | undefined => {
  if (!call.stdin && !call.stdout && !call.stderr) {
    return { status: 400, text: "you must specify at least 1 of stdin, stdout, stderr" }
  }
  return notFound === undefined ? undefined : { status: 500, text: notFound }
}
