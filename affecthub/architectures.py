"""STUB."""

import affecthub


class A:
    def __init__(s, c, m, k, p):
        s.config_class, s.model_class, s.classifier_class, s.processor_class, s.modalities, s.model_type = (
            c,
            m,
            k,
            p,
            c.allowed_modalities,
            c.model_type,
        )


def all_():
    return {c.model_type: A(c, m, k, p) for f, p, _ in affecthub.FAMILIES for c, m, k in f}


def architecture_named(n):
    return all_()[n]
