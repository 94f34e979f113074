"""The clusters of a world as a test has them: a live collection, whose clusters can be moved by hand."""

from ...state.collection import Collection
from ..progress import Present
from .course import Course
from .records import Cluster, moved


class Clusters(Collection[Cluster]):
    """The clusters, by Id. What is read of one is what the last poll, and the time, have made of it."""

    def advance(self, cluster_id: str) -> Cluster | None:
        """Take all VMs of a cluster that are on their way over their next change, and a deleted cluster to its end.

        Returns what has become of it; None if it is gone. Raises KeyError, with the nearest Id, if there is none, and
        ValueError if none of its VMs is on its way.
        """

        def act(cluster: Cluster, present: Present) -> Cluster:
            if not cluster.course(present).is_moving:
                raise ValueError(f"no VM of cluster {cluster_id!r} is on its way: each is Running, if there is one")
            return moved(cluster, present, Course.advance)

        cluster = self.change(cluster_id, act)
        return None if cluster.fleet.is_over else cluster
