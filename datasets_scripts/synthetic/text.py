"""The lines of dialogue of the synthetic sample corpus: the words of a line follow an emotion, the rest is filler."""

import numpy as np

# A cry and a state for each emotion, in plain ASCII words, and no word under two emotions: a vocabulary of whole words
# that is built from the training split decides the emotion, and nothing else in a line does.
CRIES: dict[str, tuple[str, ...]] = {
    "neutral": ("Right", "Anyway", "Alright", "Indeed"),
    "surprise": ("Wow", "Whoa", "Gosh", "Blimey"),
    "fear": ("Help", "Eek", "Careful", "Yikes"),
    "sadness": ("Alas", "Sigh", "Sob", "Sniff"),
    "joy": ("Yay", "Hooray", "Wonderful", "Hurrah"),
    "disgust": ("Yuck", "Ew", "Gross", "Ugh"),
    "anger": ("Argh", "Enough", "Grr", "Damn"),
}
STATES: dict[str, tuple[str, ...]] = {
    "neutral": ("calm", "indifferent", "settled", "composed", "unbothered", "content", "even", "impartial"),
    "surprise": ("astonished", "amazed", "stunned", "shocked", "speechless", "startled", "baffled", "dumbfounded"),
    "fear": ("scared", "terrified", "frightened", "afraid", "anxious", "petrified", "panicky", "nervous"),
    "sadness": ("sad", "heartbroken", "miserable", "gloomy", "tearful", "lonely", "hopeless", "sorrowful"),
    "joy": ("happy", "delighted", "thrilled", "cheerful", "overjoyed", "ecstatic", "joyful", "glad"),
    "disgust": ("disgusted", "nauseous", "queasy", "revolted", "repulsed", "sickened", "grossed out", "appalled"),
    "anger": ("angry", "furious", "mad", "outraged", "livid", "enraged", "irate", "annoyed"),
}
TOPICS = (
    "the rehearsal", "that old piano", "the letter", "the new boss", "this dinner", "the phone call", "the landlord",
    "my sister", "the parrot", "the test results", "this haircut", "the train ride", "the wedding plan",
    "the soup", "the last episode", "our neighbour", "the basement", "that photograph", "the election", "the game",
)  # fmt: skip
TEMPLATES = (
    "{cry}! I am so {state} because of {topic}.",
    "{cry}, {name}, {topic} makes me {state}.",
    "You know, {name}, I feel {state} after {topic}. {cry}.",
    "{cry}. Did you hear about {topic}? I am {state}.",
    "I cannot explain it, but {topic} left me {state}.",
    "{cry}! {cry}! So this is {topic}?",
    "We talked about {topic}, {name}, and now I am {state}.",
    "{cry}, nobody told me about {topic}. I feel {state} now.",
)


def write_line(emotion: str, listener: str, rng: np.random.Generator) -> str:
    """Return one ASCII sentence or two, spoken to `listener`, whose emotional words are those of `emotion`."""
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    words = {slot: options[rng.integers(len(options))] for slot, options in _slots(emotion).items()}
    line = template.format(name=listener, **words)
    return line[0].upper() + line[1:]


def _slots(emotion: str) -> dict[str, tuple[str, ...]]:
    return {"cry": CRIES[emotion], "state": STATES[emotion], "topic": TOPICS}
