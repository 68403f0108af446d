"""One feature service a model: the contract between what is stored and what a model may see."""

from feast import FeatureService
from profile_views import track_statistics, user_profile
from push import live_events
from sequence_views import sequence_views

recent = [sequence_views["recent_events"], sequence_views["recent_clicks"]]
negatives = sequence_views["recent_negatives"]
listened = sequence_views["listened_history"]

services = [
    FeatureService(name="popularity", features=[track_statistics]),
    FeatureService(name="realtime", features=recent),
    FeatureService(name="favourites", features=[listened]),
    FeatureService(name="sum_pooling", features=[*recent, negatives, user_profile]),
    FeatureService(name="target_attention", features=[*recent, negatives, user_profile]),
    FeatureService(
        name="recommender",
        features=[*sequence_views.values(), live_events, user_profile],
        description="Everything about a user that one request reads online, the live part included.",
    ),
]
