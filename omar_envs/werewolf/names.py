"""Who the players are called, and how they may be told to play."""

from __future__ import annotations

DEFAULT_NAMES = (
    *("Ana", "Bruno", "Clara", "Diego", "Elena", "Felix", "Greta", "Hugo"),
    *("Irene", "Jonas", "Katya", "Leo", "Mira", "Nadia", "Oscar", "Petra"),
    *("Quentin", "Rosa", "Stefan", "Tara", "Umar", "Vera", "Walter", "Zoe"),
)

DEFAULT_PERSONAS = (
    "You are calm and weigh every word before you speak.",
    "You are quick to accuse and slow to forgive.",
    "You trust people until they contradict themselves.",
    "You count votes and remember who voted for whom.",
    "You joke a lot, most of all when you are nervous.",
    "You speak little and listen closely.",
    "You like to lead and to propose plans.",
    "You follow whoever sounds most certain.",
    "You doubt every claim that comes without a reason.",
    "You are warm and try to keep the peace.",
    "You are stubborn and rarely change your mind.",
    "You ask more questions than you answer.",
    "You watch who defends whom.",
    "You take nothing personally and say so.",
    "You are dramatic and feel every betrayal.",
    "You are a careful reader of small slips.",
    "You prefer a risky move to waiting.",
    "You prefer waiting to a risky move.",
    "You argue from numbers and likelihoods.",
    "You argue from how people sound.",
    "You speak in short plain sentences.",
    "You tell little stories to make a point.",
    "You stand up for whoever is attacked.",
    "You are suspicious of those who are never attacked.",
)
