/**
 * The same with client-node.
 */
import * as k8s from "@kubernetes/client-node"
import * as Program from "./Program.ts"

const { kubeconfig, namespace } = Program.begin()

const config = new k8s.KubeConfig()
config.loadFromFile(kubeconfig)
config.setCurrentContext("tls")

Program.end((await config.makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace })).items.length)
