/**
 * What a pod's specification says of its containers.
 */
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as Images from "./Images.ts"

/** A container as it is to run. */
export interface ContainerSpec {
  readonly name: string
  readonly image: string
  readonly kind: "init" | "main" | "ephemeral"
  /** Entry point and arguments. */
  readonly argv: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly workingDir: string | undefined
  /** Whether it has a stdin: on it is what clients write that attach, and it does not end by itself. */
  readonly stdin: boolean
  /** The first client whose stdin ends takes the container's with it. */
  readonly stdinOnce: boolean
  readonly tty: boolean
}

const lists = [["init", "initContainers"], ["main", "containers"], ["ephemeral", "ephemeralContainers"]] as const

/** The names of all containers, in the order in which a server lists them. */
export const names = (pod: StoredObject): ReadonlyArray<string> =>
  lists.flatMap(([, list]) =>
    Json.array(Json.get(pod, "spec", list)).flatMap((container) => Json.string(Json.get(container, "name")) ?? [])
  )

// The fields that a pod may refer to in its environment.
const field = (pod: StoredObject, path: string): string | undefined => {
  const metadata = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path)
  if (metadata !== null) return Json.string(Json.get(pod, "metadata", metadata[1] ?? "", metadata[2] ?? ""))
  return path === "status.podIP" || path === "status.hostIP"
    ? "127.0.0.1"
    : Json.string(Json.get(pod, ...path.split(".")))
}

// `$(NAME)` is replaced by what was said before; `$$(NAME)` stands for itself.
const expand = (text: string, env: Readonly<Record<string, string>>): string =>
  text.replace(
    /\$\$|\$\(([^()]*)\)/g,
    (whole, name: string | undefined) => name === undefined ? "$" : env[name] ?? whole
  )

const environment = (pod: StoredObject, container: Json.Json): Readonly<Record<string, string>> => {
  const env: Record<string, string> = {}
  for (const variable of Json.array(Json.get(container, "env"))) {
    const name = Json.string(Json.get(variable, "name"))
    const path = Json.string(Json.get(variable, "valueFrom", "fieldRef", "fieldPath"))
    if (name === undefined) continue
    env[name] = path === undefined
      ? expand(Json.string(Json.get(variable, "value")) ?? "", env)
      : field(pod, path) ?? ""
  }
  return env
}

/** The containers of a pod. */
export const of = (pod: StoredObject, images: Images.Images): ReadonlyArray<ContainerSpec> =>
  lists.flatMap(([kind, list]) =>
    Json.array(Json.get(pod, "spec", list)).map((container): ContainerSpec => {
      const image = Json.string(Json.get(container, "image")) ?? ""
      const env = { ...Images.find(images, image).env, ...environment(pod, container) }
      const words = (member: string): ReadonlyArray<string> =>
        Json.strings(Json.get(container, member)).map((word) => expand(word, env))
      const command = words("command")
      const args = words("args")
      const own = Images.find(images, image).command ?? (args.length === 0 ? Images.sleep : [])
      return {
        name: Json.string(Json.get(container, "name")) ?? "",
        image,
        kind,
        argv: [...command.length === 0 ? own : command, ...args],
        env,
        workingDir: Json.string(Json.get(container, "workingDir")),
        stdin: Json.get(container, "stdin") === true,
        stdinOnce: Json.get(container, "stdinOnce") === true,
        tty: Json.get(container, "tty") === true
      }
    })
  )
